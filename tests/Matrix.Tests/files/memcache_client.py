"""Uses a memcached by pymemcache from eight threads at once, and says what came back."""
import hashlib
import sys
import threading

from pymemcache.client.base import Client, PooledClient

server = (sys.argv[1], 11211)
pool = PooledClient(server, max_pool_size=8, timeout=20, connect_timeout=20, default_noreply=False)
results = [None] * 8
big = bytes(range(256)) * 3600


def work(n):
    digest = hashlib.sha256()
    for i in range(300):
        pool.set(f"k{n}-{i}", f"value {i} of {n}" * (i + 1))
    for i in range(300):
        digest.update(pool.get(f"k{n}-{i}"))
        pool.incr("counter", 1)
    many = pool.get_many([f"k{n}-{i}" for i in range(0, 300, 3)])
    pool.set(f"big{n}", big)
    results[n] = (digest.hexdigest()[:16], len(many), pool.get(f"big{n}") == big)


pool.set("counter", "0")
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
for r in results:
    print(r)
print(pool.get("counter"), pool.delete("counter"), pool.delete("counter"))
one = Client(server, timeout=20, default_noreply=False)
value, token = one.gets("k0-0")
print(value, one.cas("k0-0", "new", token), one.cas("k0-0", "newer", token))
try:
    one.set("toobig", b"x" * (2 << 20))
except Exception as e:
    print(type(e).__name__, e)
stats = Client(server, timeout=20).stats()
print({k.decode(): stats[k] for k in (b"threads", b"get_hits", b"get_misses", b"cmd_set", b"curr_items")})
