import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@pytest.fixture
def data_folder(real_data) -> Path:
    """The folder of real data sets."""
    return real_data


@pytest.fixture(autouse=True)
def no_download(tmp_path_factory, monkeypatch):
    """The cache is empty and out of the way."""
    monkeypatch.setenv("RESPROUT_CACHE", str(tmp_path_factory.mktemp("cache")))


class FileServer:
    """A real HTTP server on loopback that serves `files`, and fails as the `faults` say, one per request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.requests: list[dict[str, str]] = []
        self.etags: dict[str, str] = {}
        self.ranges = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def etag(self, path: str) -> str:
        return self.etags.get(path, f'"{hashlib.sha256(self.files[path]).hexdigest()}"')

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(dict(self.headers))
                fault = server.faults.pop(0) if server.faults else ""
                if fault.isdecimal():
                    self.send_error(int(fault))
                elif self.path not in server.files:
                    self.send_error(404)
                else:
                    self.answer(server.files[self.path], fault)

            def answer(self, content: bytes, fault: str) -> None:
                start = self.wanted_start(server.etag(self.path))
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                if start:
                    shown = start + 1 if fault == "wrong range" else start
                    self.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
                body = content[start:]
                if fault == "corrupt":
                    body = bytes([body[0] ^ 1]) + body[1:]
                if server.etag(self.path):
                    self.send_header("ETag", server.etag(self.path))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

            def wanted_start(self, etag: str) -> int:
                wanted = self.headers.get("Range", "")
                fresh = self.headers.get("If-Range") == etag
                return int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges and fresh else 0

            def log_message(self, *_: object) -> None:
                """Keep the test output clean."""

        return Handler


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.stop()
