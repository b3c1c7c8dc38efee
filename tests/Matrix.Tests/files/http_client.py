"""urllib and http.client for http_server.py: keep-alive, chunks, a large post."""
import hashlib
import http.client
import sys
import urllib.error
import urllib.request

base = f"http://{sys.argv[1]}:8301"
connection = http.client.HTTPConnection(sys.argv[1], 8301, timeout=20)
for n in range(10):
    connection.request("GET", f"/page{n}")
    text = connection.getresponse().read()
print(text.decode(), end="")
data = bytes(range(256)) * 20000
connection.request("POST", "/", body=data)
print(connection.getresponse().read().decode().strip() == hashlib.sha256(data).hexdigest())
connection.close()
print(hashlib.sha256(urllib.request.urlopen(base + "/chunked", timeout=20).read()).hexdigest())
try:
    urllib.request.urlopen(urllib.request.Request(base, method="DELETE"), timeout=20)
except urllib.error.HTTPError as e:
    print(e.code)
