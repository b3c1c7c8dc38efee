"""A WSGI application for gunicorn."""
import hashlib


def app(environ, start_response):
    data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ['REMOTE_ADDR']} {len(data)} {hashlib.sha256(data).hexdigest()[:16]}\n".encode()
    if environ["PATH_INFO"] == "/page":
        body = b"page\n"
    start_response("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    return [body]
