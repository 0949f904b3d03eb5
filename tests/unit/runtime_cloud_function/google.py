"""A few methods of Cloud Storage's JSON API and of the metadata server, on loopback, that can misbehave."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Stored:
    """An object."""

    body: bytes
    generation: str = "7"
    content_type: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        google = self.server.google
        url = urlsplit(self.path)
        google.calls.append(f"GET {unquote(url.path)}")
        if url.path.startswith("/computeMetadata/v1/"):
            return self._metadata(url.path)
        if google.faults:
            return self._fault(google.faults.pop(0))
        google.tokens.append(self.headers.get("Authorization", ""))
        bucket, _, name = url.path.removeprefix("/storage/v1/b/").partition("/o/")
        found = google.objects.get((unquote(bucket), unquote(name)))
        wanted = parse_qs(url.query).get("generation", [""])[0]
        if found is None or (wanted and wanted != found.generation):
            return self._error(404, "No such object")
        return self._send(200, found.body)

    def do_POST(self) -> None:
        google = self.server.google
        google.calls.append(f"POST {unquote(urlsplit(self.path).path)}")
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if google.faults:
            return self._fault(google.faults.pop(0))
        bound = self.headers["Content-Type"].partition("boundary=")[2].encode()
        parts = [part.removeprefix(b"\r\n").removesuffix(b"\r\n") for part in sent.split(b"--" + bound)[1:-1]]
        (_, facts), (_, body) = (part.split(b"\r\n\r\n", 1) for part in parts)
        found = json.loads(facts)
        bucket = unquote(self.path.split("/b/")[1].split("/")[0])
        stored = Stored(body, "8", found["contentType"], found["metadata"])
        google.objects[bucket, found["name"]] = stored
        return self._send(200, b"{}")

    def _metadata(self, path: str) -> None:
        if self.headers.get("Metadata-Flavor") != "Google":
            return self._error(403, "Missing Metadata-Flavor")
        if path.endswith("/project/project-id"):
            return self._send(200, b"project-1")
        self.server.google.given += 1
        token = {"access_token": f"token-{self.server.google.given}", "expires_in": 3600}
        return self._send(200, json.dumps(token).encode())

    def _fault(self, status: int) -> None:
        if status:
            return self._error(status, "as told")
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only the beginning")
        self.close_connection = True
        return None

    def _error(self, status: int, message: str) -> None:
        self._send(status, json.dumps({"error": {"code": status, "message": message}}).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    google: Google


class Google:
    """Objects by bucket and name; `faults` are statuses of the calls to come, 0 a connection that breaks."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Stored] = {}
        self.faults: list[int] = []
        self.calls: list[str] = []
        self.tokens: list[str] = []
        self.given = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.google = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The same as an address."""
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
