"""A server that misbehaves on request."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tensorlab.vision.datasets import _download


class Server(ThreadingHTTPServer):
    """Serves `files`, name → bytes; the other attributes say how badly."""

    daemon_threads = True
    #: Close the connection after each of these many bytes, one number per answer.
    cut_after: list[int]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.failures: list[int] = []  # answers to give first
        self.cut_after = []
        self.ranges = True
        self.content_range = ""  # a wrong one to give once
        self.etag: str | None = '"1"'
        self.seen: list[tuple[str, str | None]] = []  # path and Range of each request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        name, wanted = self.path.lstrip("/"), self.headers.get("Range")
        server.seen.append((name, wanted))
        if server.failures:
            self.send_error(server.failures.pop(0))
            return
        if name in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[name])
            self.end_headers()
            return
        if name not in server.files:
            self.send_error(404)
            return
        data, begin = server.files[name], 0
        same = self.headers.get("If-Range") in (None, server.etag)
        if wanted and server.ranges and same:
            found = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert found
            begin = int(found[1])
            if begin >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            right = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            self.send_header("Content-Range", server.content_range or right)
            server.content_range = ""
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        rest = data[begin:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if server.cut_after:
            self.wfile.write(rest[: server.cut_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(rest)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(_download, "_PAUSE", 0.0)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
