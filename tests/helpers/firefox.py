"""Firefox as its distribution builds it, driven by WebDriver BiDi: JSON over a websocket."""

import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """One window without a screen; `profile` is an empty folder."""

    def __init__(self, profile):
        self.process = subprocess.Popen(
            [
                *f"{PROGRAM} --headless --remote-debugging-port 0 --profile".split(),
                str(profile),
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"HOME": str(profile), "LANG": "en_US.UTF-8"},
        )
        listening = next(line for line in self.process.stderr if "BiDi listening" in line)
        host, port = re.search(r"ws://([\d.]+):(\d+)", listening).groups()
        self.socket = socket.create_connection((host, int(port)), timeout=120)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /session HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.file = self.socket.makefile("rb")
        assert b" 101 " in self.file.readline()
        while self.file.readline().strip():
            pass
        self.number = 0
        self.ask("session.new", capabilities={})
        self.tab = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def __enter__(self):
        return self

    def __exit__(self, *about):
        self.process.kill()
        self.process.communicate()
        self.socket.close()

    def ask(self, method, **params):
        """The result of one command; what happens meanwhile is not subscribed to."""
        self.number += 1
        self._send(1, json.dumps({"id": self.number, "method": method, "params": params}).encode())
        while (said := json.loads(self._message())).get("id") != self.number:
            pass
        assert said["type"] == "success", said
        return said["result"]

    def open(self, address):
        self.ask("browsingContext.navigate", context=self.tab, url=address, wait="complete")

    def reload(self):
        self.ask("browsingContext.reload", context=self.tab, wait="complete")

    def value(self, expression):
        """What an expression of JavaScript is, or becomes, as JSON has it."""
        found = self.ask(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression}) ?? null))()",
            target={"context": self.tab},
            awaitPromise=True,
        )
        assert found["type"] == "success", found
        return json.loads(found["result"]["value"])

    def wait(self, expression, seconds=120):
        """Until an expression is true; its value."""
        for _ in range(5 * seconds):
            if found := self.value(expression):
                return found
            time.sleep(0.2)
        raise AssertionError(f"never: {expression}\n{self.value('document.body.innerText')}")

    def choose(self, selector, path):
        """Give a file to an input of files."""
        locator = {"type": "css", "value": selector}
        found = self.ask("browsingContext.locateNodes", context=self.tab, locator=locator)
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        self.ask("input.setFiles", context=self.tab, element=element, files=[str(path)])

    # --- the websocket: RFC 6455 ---------------------------------------------------------------

    def _send(self, kind, data):
        length, mask = len(data), os.urandom(4)
        short = length if length < 126 else 126 if length < 65536 else 127
        head = struct.pack("!BB", 0x80 | kind, 0x80 | short)
        head += struct.pack({126: "!H", 127: "!Q"}[short], length) if short > 125 else b""
        hidden = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(head + mask + hidden)

    def _message(self):
        parts = b""
        while True:
            first, length = self.file.read(2)
            if size := {126: 2, 127: 8}.get(length):
                length = int.from_bytes(self.file.read(size), "big")
            data = self.file.read(length)
            if first & 15 == 9:
                self._send(10, data)
            elif first & 15 in (0, 1):
                parts += data
                if first & 0x80:
                    return parts
            else:
                raise AssertionError("Firefox has closed the connection")
