"""A local server of a folder, as a static host would serve it."""

import http.server
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial


@dataclass
class Host:
    """The habits of a host, and what it has sent: bytes by path."""

    hides: set = field(default_factory=set)  # paths that are not there
    headers: dict = field(default_factory=dict)
    failing: int = 0  # so many requests more are answered by an error
    error: int = 503
    unpacks: bool = False  # sends .gz as what it holds, which the browser unpacks
    sent: Counter = field(default_factory=Counter)
    replies: Counter = field(default_factory=Counter)  # with content, by path


class Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 - as in the base class
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *args, host=None, **options):
        self.host = host or Host()
        super().__init__(*args, **options)

    def log_message(self, *_):
        pass

    def send_head(self):
        if self.path in self.host.hides:
            return self.send_error(404)
        if self.host.failing:
            self.host.failing -= 1
            return self.send_error(self.host.error)
        return super().send_head()

    def end_headers(self):
        if self.host.unpacks and self.path.endswith(".gz"):
            self.send_header("Content-Encoding", "gzip")
        for name, value in self.host.headers.items():
            self.send_header(name, value)
        super().end_headers()

    def copyfile(self, source, outputfile):
        content = source.read()
        self.host.sent[self.path] += len(content)
        self.host.replies[self.path] += 1
        outputfile.write(content)


@contextmanager
def served(folder, host=None):
    """The address of a local server of `folder`."""
    handler = partial(Quiet, directory=folder, host=host)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
