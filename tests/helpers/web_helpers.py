"""A file server for tests that can cut, refuse, forget and change."""

import hashlib
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """Files by path; `cut` ends answers after so many bytes, `codes` are answered first."""

    def __init__(self):
        self.files, self.kinds, self.requests = {}, {}, []
        self.cut, self.codes, self.ranges = [], [], True

    def mark(self, path):
        return f'"{hashlib.md5(self.files[path]).hexdigest()}"'


@contextmanager
def serving():
    """A running Site; `site.url` is its address."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            site.requests.append((self.path, dict(self.headers)))
            if site.codes:
                return self.send_error(site.codes.pop(0))
            if self.path not in site.files:
                return self.send_error(404)
            body, start = site.files[self.path], 0
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            fresh = self.headers.get("If-Range") == site.mark(self.path)
            if asked and fresh and site.ranges:
                start = int(asked[1])
                if start >= len(body):
                    return self.send_error(416)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("ETag", site.mark(self.path))
            self.send_header("Content-Type", site.kinds.get(self.path, "application/octet-stream"))
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            most = site.cut.pop(0) if site.cut else len(body)
            self.wfile.write(body[start : start + most])
            if start + most < len(body):
                self.wfile.flush()
                self.connection.close()
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
