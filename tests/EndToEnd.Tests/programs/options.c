/* Every socket option of a stream socket, in every state: what is there, what setting says, what is there then; and what an accepted socket has of its listener.
   Run natively and through NetKernel. Prints "compat: area | option | result" for docs/compatibility.md as well.
   options ADDRESS PORT: ADDRESS runs peer.py. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct sockaddr_in server;

enum { PLAIN, LENGTH = 1 /* the value differs from run to run */, SIX = 2, READONLY = 4, NOGET = 8, TUNED = 16 /* what it is at first depends on the path */, OWN = 32 /* the stack's own affair */ };

struct option {
    const char *name;
    int level, number, value, flags;
    const char *text;
};

#define SOCK(n, number, value, flags) { "SO_" n, SOL_SOCKET, number, value, flags, NULL }
#define TCP(n, number, value, flags) { "TCP_" n, IPPROTO_TCP, number, value, flags, NULL }
#define IP(n, number, value, flags) { "IP_" n, IPPROTO_IP, number, value, flags, NULL }
#define IP6(n, number, value, flags) { "IPV6_" n, IPPROTO_IPV6, number, value, (flags) | SIX, NULL }

static const struct option options[] = {
    SOCK("DEBUG", 1, 1, 0), SOCK("REUSEADDR", 2, 1, 0), SOCK("TYPE", 3, 1, READONLY), SOCK("ERROR", 4, 1, READONLY), SOCK("DONTROUTE", 5, 1, 0),
    SOCK("BROADCAST", 6, 1, 0), SOCK("SNDBUF", 7, 30000, TUNED), SOCK("RCVBUF", 8, 30000, TUNED), SOCK("KEEPALIVE", 9, 1, 0), SOCK("OOBINLINE", 10, 1, 0),
    SOCK("NO_CHECK", 11, 1, 0), SOCK("PRIORITY", 12, 4, 0), { "SO_LINGER", SOL_SOCKET, 13, 0, 0, "\1\0\0\0\0\0\0" }, SOCK("BSDCOMPAT", 14, 1, 0), SOCK("REUSEPORT", 15, 1, 0),
    SOCK("PASSCRED", 16, 1, 0), SOCK("PEERCRED", 17, 1, READONLY | LENGTH), SOCK("RCVLOWAT", 18, 3, 0), SOCK("SNDLOWAT", 19, 3, 0),
    { "SO_RCVTIMEO", SOL_SOCKET, 20, 0, 0, "\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0" }, { "SO_SNDTIMEO", SOL_SOCKET, 21, 0, 0, "\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
    { "SO_BINDTODEVICE (no such device)", SOL_SOCKET, 25, 0, NOGET, "nkt0" }, SOCK("DETACH_FILTER", 27, 1, NOGET), SOCK("PEERNAME", 28, 1, READONLY | LENGTH),
    SOCK("TIMESTAMP", 29, 1, 0), SOCK("ACCEPTCONN", 30, 1, READONLY), SOCK("PEERSEC", 31, 1, READONLY | LENGTH), SOCK("SNDBUFFORCE", 32, 30000, NOGET),
    SOCK("RCVBUFFORCE", 33, 30000, NOGET), SOCK("TIMESTAMPNS", 35, 1, 0), SOCK("MARK", 36, 7, 0), SOCK("TIMESTAMPING", 37, 8, 0), SOCK("PROTOCOL", 38, 1, READONLY),
    SOCK("DOMAIN", 39, 1, READONLY), SOCK("RXQ_OVFL", 40, 1, 0), SOCK("WIFI_STATUS", 41, 1, 0), SOCK("PEEK_OFF", 42, 0, 0), SOCK("NOFCS", 43, 1, 0), SOCK("LOCK_FILTER", 44, 1, 0),
    SOCK("SELECT_ERR_QUEUE", 45, 1, 0), SOCK("BUSY_POLL", 46, 50, 0), SOCK("MAX_PACING_RATE", 47, 1000000, 0), SOCK("BPF_EXTENSIONS", 48, 1, READONLY),
    SOCK("INCOMING_CPU", 49, 0, LENGTH), SOCK("ATTACH_BPF", 50, -1, NOGET), SOCK("MEMINFO", 55, 1, READONLY | LENGTH), SOCK("INCOMING_NAPI_ID", 56, 1, READONLY | LENGTH),
    SOCK("COOKIE", 57, 1, READONLY | LENGTH), SOCK("PEERGROUPS", 59, 1, READONLY), SOCK("ZEROCOPY", 60, 1, 0), SOCK("NETNS_COOKIE", 71, 1, READONLY | LENGTH),
    SOCK("BUF_LOCK", 72, 1, 0), SOCK("RESERVE_MEM", 73, 4096, 0), SOCK("TXREHASH", 74, 0, 0), SOCK("RCVMARK", 75, 1, 0), SOCK("(unknown)", 9999, 1, 0),
    TCP("NODELAY", 1, 1, 0), TCP("MAXSEG", 2, 1000, LENGTH), TCP("CORK", 3, 1, 0), TCP("KEEPIDLE", 4, 50, 0), TCP("KEEPINTVL", 5, 20, 0), TCP("KEEPCNT", 6, 4, 0), TCP("SYNCNT", 7, 3, 0),
    TCP("LINGER2", 8, 10, 0), TCP("DEFER_ACCEPT", 9, 3, 0), TCP("WINDOW_CLAMP", 10, 20000, TUNED), TCP("INFO", 11, 1, READONLY | LENGTH), TCP("QUICKACK", 12, 1, 0),
    { "TCP_CONGESTION reno", IPPROTO_TCP, 13, 0, NOGET, "reno" }, { "TCP_CONGESTION (unknown)", IPPROTO_TCP, 13, 0, OWN, "nosuch" }, TCP("MD5SIG (zeros)", 14, 0, NOGET),
    TCP("THIN_LINEAR_TIMEOUTS", 16, 1, 0), TCP("THIN_DUPACK", 17, 1, 0), TCP("USER_TIMEOUT", 18, 30000, 0), TCP("REPAIR", 19, 1, NOGET), TCP("REPAIR_QUEUE", 20, 1, 0),
    TCP("FASTOPEN", 23, 5, 0), TCP("TIMESTAMP", 24, 1, LENGTH), TCP("NOTSENT_LOWAT", 25, 16384, 0), TCP("CC_INFO", 26, 1, READONLY | LENGTH | OWN), TCP("SAVE_SYN", 27, 1, 0),
    TCP("SAVED_SYN", 28, 1, READONLY | LENGTH), TCP("FASTOPEN_CONNECT", 30, 1, 0), { "TCP_ULP tls", IPPROTO_TCP, 31, 0, NOGET, "tls" }, TCP("FASTOPEN_NO_COOKIE", 34, 1, 0),
    TCP("ZEROCOPY_RECEIVE", 35, 1, READONLY | LENGTH), TCP("INQ", 36, 1, 0), TCP("TX_DELAY", 37, 1000, 0), TCP("IS_MPTCP", 43, 1, READONLY), TCP("(unknown)", 9999, 1, 0),
    IP("TOS", 1, 16, 0), IP("TTL", 2, 33, 0), IP("HDRINCL", 3, 1, 0), IP("OPTIONS", 4, 0, 0), IP("RECVOPTS", 6, 1, 0), IP("RETOPTS", 7, 1, 0), IP("PKTINFO", 8, 1, 0),
    IP("MTU_DISCOVER", 10, 2, 0), IP("RECVERR", 11, 1, 0), IP("RECVTTL", 12, 1, 0), IP("RECVTOS", 13, 1, 0), IP("MTU", 14, 1, READONLY | LENGTH), IP("FREEBIND", 15, 1, 0),
    IP("TRANSPARENT", 19, 1, 0), IP("RECVORIGDSTADDR", 20, 1, 0), IP("MINTTL", 21, 1, 0), IP("NODEFRAG", 22, 1, 0), IP("CHECKSUM", 23, 1, 0), IP("BIND_ADDRESS_NO_PORT", 24, 1, 0),
    IP("MULTICAST_TTL", 33, 2, 0), IP("MULTICAST_LOOP", 34, 0, 0), IP("ADD_MEMBERSHIP", 35, 0, NOGET), IP("MULTICAST_ALL", 49, 0, 0), IP("LOCAL_PORT_RANGE", 51, 0x9C409C40, 0),
    IP("(unknown)", 9999, 1, 0),
    IP6("UNICAST_HOPS", 16, 33, 0), IP6("MULTICAST_HOPS", 18, 3, 0), IP6("MULTICAST_LOOP", 19, 0, 0), IP6("MTU_DISCOVER", 23, 2, 0), IP6("RECVERR", 25, 1, 0), IP6("V6ONLY", 26, 1, 0),
    IP6("RECVPKTINFO", 49, 1, 0), IP6("RECVHOPLIMIT", 51, 1, 0), IP6("DONTFRAG", 62, 1, 0), IP6("RECVTCLASS", 66, 1, 0), IP6("TCLASS", 67, 32, 0), IP6("AUTOFLOWLABEL", 70, 0, 0),
    IP6("ADDR_PREFERENCES", 72, 2, 0), IP6("MINHOPCOUNT", 73, 1, 0), IP6("TRANSPARENT", 75, 1, 0), IP6("FREEBIND", 78, 1, 0), IP6("(unknown)", 9999, 1, 0),
    { "level 9999", 9999, 1, 1, 0, NULL },
};

static const char *say(int result)
{
    return result == 0 ? "OK" : strerrorname_np(errno);
}

static void show(int fd, const struct option *o)
{
    unsigned char b[256];
    socklen_t n = o->level == IPPROTO_TCP && o->number == TCP_SAVED_SYN ? sizeof b : o->flags & LENGTH && o->number == TCP_INFO ? sizeof b : 64;
    if (o->flags & NOGET)
        return;
    memset(b, 0, sizeof b);
    if (o->level == SOL_SOCKET && o->number == 28)
        n = sizeof(struct sockaddr_in);
    int r = getsockopt(fd, o->level, o->number, b, &n);
    printf(" get %s", say(r));
    if (r != 0 || o->flags & OWN)
        return;
    printf(" %d:", (int)n);
    for (socklen_t i = 0; i < n && i < 20 && !(o->flags & LENGTH); i++)
        printf("%02x", b[i]);
}

static int set(int fd, const struct option *o)
{
    if (o->text != NULL)
        return setsockopt(fd, o->level, o->number, o->text, o->level == SOL_SOCKET && o->number == SO_LINGER ? 8 : o->level == SOL_SOCKET && o->number != SO_BINDTODEVICE ? 16 : strlen(o->text));
    return setsockopt(fd, o->level, o->number, &o->value, sizeof o->value);
}

static int fresh(int six) { return socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0); }

static int bound(int six)
{
    int fd = fresh(six);
    struct sockaddr_in6 any = { .sin6_family = six ? AF_INET6 : AF_INET };
    if (bind(fd, (struct sockaddr *)&any, six ? sizeof any : sizeof(struct sockaddr_in)) != 0)
        perror("bind");
    return fd;
}

static int listening(int six)
{
    int fd = bound(six);
    if (listen(fd, 5) != 0)
        perror("listen");
    return fd;
}

static int dial(int six, char mode)
{
    int fd = fresh(six);
    struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = server.sin_port };
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(mapped.sin6_addr.s6_addr + 12, &server.sin_addr, 4);
    int r = six ? connect(fd, (struct sockaddr *)&mapped, sizeof mapped) : connect(fd, (struct sockaddr *)&server, sizeof server);
    if (r != 0 || write(fd, &mode, 1) != 1) {
        perror("connect");
        exit(1);
    }
    return fd;
}

static int connected(int six) { return dial(six, 'n'); }

/* A connection to a listener that had the option set before it listened. */
static void inherited(const struct option *o)
{
    int six = o->flags & SIX ? 1 : 0, l = fresh(six), c;
    struct sockaddr_in6 any = { .sin6_family = six ? AF_INET6 : AF_INET };
    socklen_t n = sizeof any;
    char b[3] = "k";
    if (set(l, o) != 0 || (o->level == IPPROTO_IPV6 && o->number == 26) || (o->level == IPPROTO_TCP && (o->number == TCP_DEFER_ACCEPT || o->number == TCP_SAVED_SYN))
        || bind(l, (struct sockaddr *)&any, six ? sizeof any : sizeof(struct sockaddr_in)) != 0 || listen(l, 5) != 0) {
        close(l);
        return;
    }
    getsockname(l, (struct sockaddr *)&any, &n);
    int k = dial(0, 'k');
    if (write(k, &any.sin6_port, 2) != 2 || (c = accept(l, NULL, NULL)) < 0 || read(k, b, 1) != 1) {
        perror("accept");
        exit(1);
    }
    printf("%s accepted:", o->name);
    show(c, o);
    printf("\n");
    close(c);
    close(k);
    close(l);
}

int main(int argc, char **argv)
{
    struct { const char *name; int (*make)(int); } states[] = { { "fresh", fresh }, { "bound", bound }, { "listening", listening }, { "connected", connected } };
    if (argc < 3)
        return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
        const struct option *o = &options[i];
        for (int s = 0; s < 4; s++) {
            int fd = states[s].make(o->flags & SIX ? 1 : 0);
            printf("%s %s:", o->name, states[s].name);
            if (!(o->flags & TUNED && s == 3))
                show(fd, o);
            int r = set(fd, o);
            printf(" set %s", say(r));
            show(fd, o);
            printf("\n");
            if (s == 0 && !(o->flags & READONLY)) {
                printf("compat: options of streams | setsockopt %s | %s\n", o->name, (errno = 0, set(fd, o) == 0) ? "OK" : strerrorname_np(errno));
            } else if (s == 3 && o->flags & READONLY) {
                socklen_t n = o->number == 28 && o->level == SOL_SOCKET ? 16 : 64;
                char b[64];
                printf("compat: options of streams | getsockopt %s | %s\n", o->name, getsockopt(fd, o->level, o->number, b, &n) == 0 ? "OK" : strerrorname_np(errno));
            }
            close(fd);
        }
        if (!(o->flags & (READONLY | NOGET | LENGTH)))
            inherited(o);
        fflush(stdout);
    }
    return 0;
}
