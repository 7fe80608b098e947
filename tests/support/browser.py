"""A headless Chromium that a test looks into: the DevTools protocol over a WebSocket, by the standard library."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip
STARTS_S = 60
ANSWERS_S = 120


class Page:
    """One page in a browser of its own. events: what the browser told since the page was opened."""

    def __init__(self, profile: Path) -> None:
        self.process = subprocess.Popen(
            [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self.calls = 0
        self.socket = self._connected()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _connected(self) -> socket.socket:
        assert self.process.stderr is not None
        port = None
        began = time.monotonic()
        while port is None and time.monotonic() - began < STARTS_S:
            if found := re.search(r"ws://127\.0\.0\.1:(\d+)/", self.process.stderr.readline()):
                port = int(found[1])
        assert port, "the browser did not start"
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=STARTS_S) as answer:
            target = next(each for each in json.load(answer) if each["type"] == "page")
        path = target["webSocketDebuggerUrl"].split(f":{port}", 1)[1]
        link = socket.create_connection(("127.0.0.1", port), timeout=ANSWERS_S)
        key = base64.b64encode(os.urandom(16)).decode()
        link.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += link.recv(1)
        assert b" 101 " in head.split(b"\r\n", 1)[0], head
        return link

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self.calls += 1
        self._send(json.dumps({"id": self.calls, "method": method, "params": params}).encode())
        while True:
            message = json.loads(self._receive())
            if message.get("id") == self.calls:
                assert "error" not in message, message
                return dict(message["result"])
            self.events.append(message)

    def open(self, url: str, width: int, height: int, scheme: str = "light") -> None:
        """Open a page at a size, and wait until its charts are drawn."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.until("document.documentElement?.dataset.drawn")

    def until(self, script: str) -> Any:
        """The value of an expression as soon as it has one."""
        began = time.monotonic()
        while not (value := self.ask(script)):
            assert time.monotonic() - began < ANSWERS_S, f"{script} has no value"
            time.sleep(0.1)
        return value

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            code = {"Tab": 9, "ArrowRight": 39, "Enter": 13}[key]
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def told(self, method: str) -> list[dict[str, Any]]:
        """The events of one kind since the page was opened."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def close(self) -> None:
        """End the browser."""
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=STARTS_S)
        if self.process.stderr:
            self.process.stderr.close()

    def _send(self, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        head = (
            struct.pack("!BB", 0x81, 0x80 | size)
            if size < 126
            else struct.pack("!BBH", 0x81, 0xFE, size)
            if size < 1 << 16
            else struct.pack("!BBQ", 0x81, 0xFF, size)
        )
        self.socket.sendall(head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload)))

    def _receive(self) -> bytes:
        whole = b""
        while True:
            first, second = self._exactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._exactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._exactly(8))
            whole += self._exactly(size)
            if first & 0x80:
                return whole

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = self.socket.recv(size - len(found))
            assert piece, "the browser hung up"
            found += piece
        return bytes(found)
