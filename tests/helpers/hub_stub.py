"""A Hugging Face Hub of our own: repositories in memory, and what was asked of it."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from huggingface_hub import constants


class Hub:
    """`files` by (repo, name), large ones by their digest in `stored`, and every request."""

    def __init__(self):
        self.files, self.stored, self.private, self.requests = {}, {}, {}, []
        self.refuse = None  # a code and a message, given to every write


@contextmanager
def hub_stub(monkeypatch, folder):
    """A running Hub that huggingface_hub takes for its own, with its cache in `folder`.

    Its constants are set: it reads HF_ENDPOINT and HF_HOME once, when it is first imported.
    """
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def note(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            hub.requests.append((self.command, self.path, headers))

        def answer(self, code, content=b"", **headers):
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self):
            hub.requests.append(
                (self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
            )
            found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
            key = (found[1], found[3]) if found else None
            if key not in hub.files:
                known = found and any(repo == key[0] for repo, _ in hub.files)
                code = "EntryNotFound" if known else "RepoNotFound"
                return self.answer(404, b"", X_Error_Code=code)
            body = hub.files[key]
            mark = hashlib.sha256(body).hexdigest()
            return self.answer(200, body, ETag=f'"{mark}"', X_Repo_Commit="c" * 40)

        def do_HEAD(self):
            return self.do_GET()

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hub.requests.append(
                (self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
            )
            if hub.refuse:
                return self.answer(hub.refuse[0], b"", X_Error_Message=hub.refuse[1])
            if self.path == "/api/repos/create":
                given = json.loads(body)
                name = "/".join(filter(None, (given.get("organization"), given["name"])))
                hub.private[name] = given.get("private", given.get("visibility") == "private")
                return self.answer(200, {"url": f"{hub.url}/{name}", "name": name})
            if "/preupload/" in self.path:
                files = [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(".onnx") else "regular",
                        "shouldIgnore": False,
                        "oid": None,
                    }
                    for file in json.loads(body)["files"]
                ]
                return self.answer(200, {"files": files})
            if self.path.endswith("/info/lfs/objects/batch"):
                objects = [
                    {**one, "actions": {"upload": {"href": f"{hub.url}/lfs/{one['oid']}"}}}
                    for one in json.loads(body)["objects"]
                ]
                return self.answer(200, {"transfer": "basic", "objects": objects})
            if "/commit/" in self.path:
                repo = re.match(r"/api/models/(.+)/commit/", self.path)[1]
                for line in body.splitlines():
                    entry = json.loads(line)
                    value = entry["value"]
                    if entry["key"] == "file":
                        hub.files[repo, value["path"]] = base64.b64decode(value["content"])
                    elif entry["key"] == "lfsFile":
                        hub.files[repo, value["path"]] = hub.stored[value["oid"]]
                made = {"commitUrl": f"{hub.url}/{repo}/commit/{'c' * 40}", "commitOid": "c" * 40}
                return self.answer(200, made)
            return self.answer(200, {"errors": [], "warnings": []})  # of /api/validate-yaml

        def do_PUT(self):
            hub.requests.append(
                (self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
            )
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hub.stored[hashlib.sha256(body).hexdigest()] = body
            return self.answer(200)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        "HF_HUB_CACHE": str(folder / "cache"),
        "HF_TOKEN_PATH": str(folder / "no_token"),
        "HF_HUB_DISABLE_XET": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
