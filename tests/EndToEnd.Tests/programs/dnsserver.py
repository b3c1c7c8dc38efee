"""A DNS server for tests: answers by the name that is asked for, also as no honest server would. UDP and TCP.

    dnsserver.py ADDRESS [ADDRESS...] [--port N]

Prints "ready" when it listens, then a line for each query: "udp|tcp ADDRESS NAME TYPE [edns SIZE] [do] from PORT".
"""
import select
import socket
import struct
import sys
import threading
import time

A, NS, CNAME, SOA, PTR, TXT, AAAA, OPT, MX = 1, 2, 5, 6, 12, 16, 28, 41, 15
TYPES = {A: "A", NS: "NS", CNAME: "CNAME", SOA: "SOA", PTR: "PTR", MX: "MX", TXT: "TXT", AAAA: "AAAA"}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
ZONE = "example.test"


def wire(name):
    if isinstance(name, bytes):
        return name  # as it is: a hostile one
    labels = [l for l in name.split(".") if l]
    return b"".join(bytes([len(l)]) + l.encode("latin-1") for l in labels) + b"\0"


def a(text):
    return (A, socket.inet_pton(socket.AF_INET, text))


def aaaa(text):
    return (AAAA, socket.inet_pton(socket.AF_INET6, text))


def cname(name):
    return (CNAME, wire(name))


def ptr(name):
    return (PTR, wire(name))


def txt(text):
    return (TXT, bytes([len(text)]) + text.encode())


# Names of the zone: records, or [(owner, record)...] for answers whose records have other owners.
RECORDS = {
    "host": [a("198.18.9.1"), aaaa("2001:2::9:1"), txt("hello"), (MX, b"\0\x0a" + wire("mail." + ZONE))],
    "outside": [a("198.18.0.250"), aaaa("2001:2::fa")],
    "routeless": [aaaa("2001:2:0:1::9"), a("198.18.9.51")],
    "routeless4": [aaaa("2001:2::9:51"), a("198.19.0.1")],
    "noroutes": [aaaa("2001:2:0:1::9"), a("198.19.0.1")],
    "once": [a("198.18.9.50"), aaaa("2001:2::9:50")],
    "four": [a("198.18.9.4")],
    "six": [aaaa("2001:2::9:6")],
    "two": [a("198.18.9.2"), a("198.18.9.3"), aaaa("2001:2::9:2"), aaaa("2001:2::9:3")],
    "nodata": [txt("nothing else")],
    "under_score": [a("198.18.9.7")],
    "-dash": [a("198.18.9.8")],
    "many": [a(f"198.18.10.{i}") for i in range(1, 101)],
    "manysix": [aaaa(f"2001:2::a:{i:x}") for i in range(1, 101)] + [a("198.18.10.101")],
    "short.sub": [a("198.18.9.10"), aaaa("2001:2::9:10")],
    "only.deep.sub": [a("198.18.9.11")],
    "dotted.name.sub": [a("198.18.9.12")],
    "mapped": [aaaa("::ffff:198.18.9.13")],
    "shortdata": [(A, b"\xc6\x12\x09")],
    "longdata": [(A, b"\xc6\x12\x09\x01\x02")],
    "mixedbad": [(A, b"\xc6\x12\x09"), a("198.18.9.14")],
    "wrongclass": [(A, b"\xc6\x12\x09\x01", 3)],
    "alias": [cname("host." + ZONE)],
    "alias2": [cname("alias." + ZONE)],
    "dangling": [cname("nowhere." + ZONE)],
    "tonodata": [cname("nodata." + ZONE)],
    "loop": [cname("loop." + ZONE)],
    "loopa": [cname("loopb." + ZONE)],
    "loopb": [cname("loopa." + ZONE)],
    "oddalias": [cname("odd/target." + ZONE)],
    "odd/target": [a("198.18.9.15"), aaaa("2001:2::9:15")],
    "dashalias": [cname("-dash." + ZONE)],
    "underalias": [cname("under_score." + ZONE)],
}
for i in range(40):
    RECORDS[f"chain{i}"] = [cname(f"chain{i + 1}." + ZONE)]
RECORDS["chain40"] = [a("198.18.9.40")]
for i in range(30, 33):
    RECORDS[f"c{i}"] = [a("198.18.9.41")]
RECORDS["long-" + "x" * 50] = [a("198.18.9.42")]
RECORDS[".".join(["y" * 60] * 3)] = [a("198.18.9.43")]

PTRS = {
    "1.9.18.198.in-addr.arpa": [ptr("host." + ZONE)],
    "2.9.18.198.in-addr.arpa": [ptr("two." + ZONE), ptr("second." + ZONE)],
    "3.9.18.198.in-addr.arpa": [cname("3.0-63.9.18.198.in-addr.arpa")],
    "3.0-63.9.18.198.in-addr.arpa": [ptr("classless." + ZONE)],
    "4.9.18.198.in-addr.arpa": [ptr("bad name." + ZONE)],
    "5.9.18.198.in-addr.arpa": [txt("no pointer")],
    "6.9.18.198.in-addr.arpa": [ptr("unqualified")],
    "1.0.0.0.9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.2.ip6.arpa": [ptr("host." + ZONE)],
}

# Names that get no honest answer.
RCODES = {"servfail": SERVFAIL, "refused": REFUSED, "notimp": NOTIMP, "formerr": FORMERR, "badrcode": 9}
SERVFAIL_ONLY = {"failsix": AAAA, "failfour": A}


class Query:
    def __init__(self, data):
        self.data = data
        self.id, self.flags, qd, _, _, ar = struct.unpack("!6H", data[:12])
        at, labels = 12, []
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
            at += 1 + data[at]
        self.name = ".".join(labels)
        self.type, self.klass = struct.unpack("!2H", data[at + 1:at + 5])
        self.end = at + 5
        self.question = data[12:self.end]
        self.edns = self.do = 0
        if ar:
            _, kind, size, flags = struct.unpack("!BHHI", data[self.end:self.end + 9])
            if kind == OPT:
                self.edns, self.do = size, bool(flags & 0x8000)

    def __str__(self):
        return f"{self.name} {TYPES.get(self.type, self.type)}" + (f" edns {self.edns}" if self.edns else "") + (" do" if self.do else "")


def message(query, rcode=NOERROR, answers=(), flags=0, identity=None, question=None, qr=0x8000, ra=0x80, count=None):
    body = query.question if question is None else question
    out = struct.pack("!6H", query.id if identity is None else identity, qr | 0x400 | (query.flags & 0x100) | flags | ra | rcode,
                      1 if body else 0, len(answers) if count is None else count, 0, 1 if query.edns else 0) + body
    for owner, record in answers:
        kind, data, klass = record if len(record) == 3 else record + (1,)
        name = b"\xc0\x0c" if owner.lower() == query.name.lower() else wire(owner)
        out += name + struct.pack("!2HIH", kind, klass, 300, len(data)) + data
    return out + (b"\0\0\x29\x04\xd0\0\0\0\0\0\0" if query.edns else b"")


def text_of(data):
    labels, at = [], 0
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    return ".".join(labels)


def lookup(name, kind):
    """Answers with the aliases that lead there, and a response code."""
    answers, seen = [], set()
    while name.lower() not in seen:
        seen.add(name.lower())
        key = name.lower()
        if key.endswith("." + ZONE):
            records = RECORDS.get(key[:-len(ZONE) - 1])
        else:
            records = PTRS.get(key)
        if records is None:
            return answers, NXDOMAIN
        answers += [(name, r) for r in records if r[0] == kind or (r[0] == CNAME and kind != CNAME)]
        target = [r for r in records if r[0] == CNAME]
        if not target or kind == CNAME:
            break
        name = text_of(target[0][1])
    return answers, NOERROR


def reply(query, tcp):
    """The messages that answer a query, in order."""
    label = query.name.split(".")[0].lower()
    inside = query.name.lower().endswith("." + ZONE)
    if inside and label in RCODES:
        return [message(query, RCODES[label])]
    if inside and label in SERVFAIL_ONLY:
        if SERVFAIL_ONLY[label] == query.type:
            return [message(query, SERVFAIL)]
        return [message(query, answers=[(query.name, a("198.18.9.20") if query.type == A else aaaa("2001:2::9:20"))])]
    if inside and label.startswith("dead"):
        return []
    if inside and label == "deadsix" or label == "deadfour":
        return []
    if inside and label == "noedns":
        if query.edns:
            plain = Query(query.data[:10] + b"\0\0" + query.data[12:query.end])
            return [message(plain, FORMERR, question=b"")]
        return [message(query, answers=[(query.name, a("198.18.9.21"))] if query.type == A else [])]
    good = message(query, answers=[(query.name, a("198.18.9.22"))] if query.type == A else [])
    evil = [(query.name, a("198.18.9.66"))]
    if inside and label == "wrongid":
        return [message(query, answers=evil, identity=query.id ^ 1), good]
    if inside and label == "wrongquestion":
        return [message(query, answers=evil, question=wire("other." + ZONE) + query.question[-4:]), good]
    if inside and label == "garbage":
        return [b"\0\1\2", struct.pack("!H", query.id) + b"\x81", good]
    if inside and label == "othercase":
        body = bytes(c ^ 0x20 if chr(c).isalpha() else c for c in query.question[:-4]) + query.question[-4:]
        return [message(query, question=body, answers=[(query.name, a("198.18.9.23"))] if query.type == A else [])]
    if inside and label == "otherowner":
        return [message(query, answers=[("other." + ZONE, a("198.18.9.66")), (query.name, a("198.18.9.24"))] if query.type == A else [])]
    if inside and label == "cut":
        return [message(query, answers=[(query.name, a("198.18.9.25"))] * 2)[:-3]] if query.type == A else [good]
    if inside and label == "overcount":
        return [message(query, answers=[(query.name, a("198.18.9.26"))], count=9)] if query.type == A else [good]
    if inside and label == "pointerloop":
        return [message(query, answers=[(query.name, (CNAME, b"\xc0" + bytes([12 + len(query.question) + 12])))])]
    if inside and label == "pointerout":
        return [message(query, answers=[(query.name, (CNAME, b"\xff\xff"))])]
    if inside and label == "badlabel":
        return [message(query, answers=[(query.name, (CNAME, b"\x80abc\0"))])]
    if inside and label == "referral":
        return [struct.pack("!6H", query.id, 0x8000, 1, 0, 0, 0) + query.question]
    if inside and label.startswith("tc"):
        # Truncated over UDP, whole over TCP. "tcbroken": TCP has nothing either.
        if not tcp:
            return [message(query, flags=0x200, answers=[(query.name, a("198.18.9.27"))] if query.type == A else [])]
        if label == "tcbroken":
            return [b""]
        kind = [a(f"198.18.11.{i}") for i in range(1, 101)] if query.type == A else [aaaa("2001:2::b:1")] if query.type == AAAA else []
        return [message(query, answers=[(query.name, record) for record in kind])]
    answers, rcode = lookup(query.name, query.type)
    if inside and label == "reversed":
        return [message(query, answers=[("host." + ZONE, a("198.18.9.28")), (query.name, cname("host." + ZONE))])]
    whole = message(query, rcode, answers)
    if not tcp and len(whole) > max(512, query.edns):
        return [message(query, rcode, flags=0x200)]
    return [whole]


def say(line):
    print(line, flush=True)


def serve_tcp(connection):
    with connection:
        stream = connection.makefile("rb")
        while True:
            head = stream.read(2)
            if len(head) < 2:
                return
            query = Query(stream.read(struct.unpack("!H", head)[0]))
            say(f"tcp {connection.getsockname()[0]} {query} from {connection.getpeername()[1]}")
            for answer in reply(query, True):
                if not answer:
                    return
                data = struct.pack("!H", len(answer)) + answer
                connection.sendall(data[:1])  # in pieces: a stream has no boundaries
                connection.sendall(data[1:20])
                connection.sendall(data[20:])


def accept(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_tcp, args=(connection,), daemon=True).start()


def main():
    arguments, port = sys.argv[1:], 53
    if "--port" in arguments:
        at = arguments.index("--port")
        port = int(arguments[at + 1])
        del arguments[at:at + 2]
    datagrams = []
    for address in arguments:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        datagram = socket.socket(family, socket.SOCK_DGRAM)
        listener = socket.socket(family, socket.SOCK_STREAM)
        for s in (datagram, listener):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
        listener.listen(64)
        datagrams.append(datagram)
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
    say("ready")
    heard = {}
    while True:
        for datagram in select.select(datagrams, [], [])[0]:
            data, peer = datagram.recvfrom(4096)
            query = Query(data)
            say(f"udp {datagram.getsockname()[0]} {query} from {peer[1]}")
            if query.name.startswith("once."):
                # Deaf to a second query that comes too soon from one port, as some middleboxes are.
                soon = time.monotonic() - heard.get(peer, 0) < 0.5
                heard[peer] = time.monotonic()
                if soon:
                    continue
            for answer in reply(query, False):
                datagram.sendto(answer, peer)


main()
