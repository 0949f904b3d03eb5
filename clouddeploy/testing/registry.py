"""An image registry in memory, on loopback: the part of the OCI Distribution API that pushing needs.

It checks what real registries check (digests, manifests whose blobs are missing, order of parts,
authorization) and breaks where a test asks it to. It holds blobs in memory: for small images.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import uuid
from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

Breakage = Literal["500", "429", "reset", "cut", "lost", "corrupt", "redirect"]
Parts = Literal["all", "first-only", "none"]
MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<wanted>[^/]+)\Z")
BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<wanted>sha256:[0-9a-f]{64})\Z")
UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<wanted>[^/]*)\Z")


@dataclass
class Break:
    """What goes wrong, and when.

    Args:
        method: of the requests that break.
        path: pattern, searched for in the path.
        how: ``500`` and ``429`` answer so; ``reset`` breaks the connection before the request is
            carried out, ``lost`` after it; ``cut`` breaks it in the middle of a body (of the request
            or of the answer); ``corrupt`` answers other bytes; ``redirect`` sends to `target`.
        times: how often.
        after: requests that match and are spared before.
        target: address to redirect to, before the path.
    """

    method: str
    path: str
    how: Breakage
    times: int = 1
    after: int = 0
    target: str = ""


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    authorization: str
    length: int


@dataclass
class FakeRegistry:
    """A registry; a context manager that serves while it is entered.

    Args:
        auth: how to log in.
        users: passwords by user, for whom logging in succeeds.
        mounts: whether blobs can be mounted from other repositories.
        parts: which parts of an upload in parts are kept, as Amazon ECR keeps the first only.
        repositories: the only ones there are, as on Amazon ECR; None makes each at its first push.
        breaks: what goes wrong.
    """

    auth: Literal["none", "basic", "bearer"] = "none"
    users: dict[str, str] = field(default_factory=lambda: {"user": "secret"})
    mounts: bool = True
    parts: Parts = "all"
    repositories: set[str] | None = None
    breaks: list[Break] = field(default_factory=list)
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[bytes, str]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._guard = threading.Lock()
        handler = type("Handler", (_Handler,), {"registry": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        """Its host with the port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def count(self, method: str, path: str = "") -> int:
        """How many requests of that kind arrived; `path` is a pattern."""
        return sum(one.method == method and bool(re.search(path, one.path)) for one in self.seen)

    def broken(self, method: str, path: str) -> Break | None:
        """What is to go wrong with this request."""
        with self._guard:
            for one in self.breaks:
                if one.method == method and re.search(one.path, path) and one.times:
                    if one.after:
                        one.after -= 1
                        continue
                    one.times -= 1
                    return one
        return None


class _Reset(Exception):
    """The connection is to break."""


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    how: Break | None = None

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        self.query = parse_qs(parts.query)
        held = self.headers.get("Authorization", "")
        self.registry.seen.append(Seen(self.command, parts.path, self.query, held, length))
        self.how = self.registry.broken(self.command, parts.path)
        try:
            if self._breaks_before(length):
                return
            body = self.rfile.read(length)
            if not self._refused(parts.path):
                self._route(parts.path, body)
        except _Reset:
            self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _breaks_before(self, length: int) -> bool:
        if self.how is None:
            return False
        if self.how.how == "reset":
            raise _Reset
        if self.how.how == "cut" and length:
            self._partly(self.rfile.read(length // 2))
            raise _Reset
        if self.how.how in ("500", "429"):
            self.rfile.read(length)
            self._fail(
                int(self.how.how), "TOOMANYREQUESTS" if self.how.how == "429" else "UNKNOWN", Retry_After="9"
            )
            return True
        if self.how.how == "redirect":
            self._answer(307, b"", Location=self.how.target + self.path)
            return True
        return False

    def _partly(self, content: bytes) -> None:
        """Half of a part arrived, and is kept."""
        match = UPLOAD.match(urlsplit(self.path).path)
        if self.command == "PATCH" and match and match["wanted"] in self.registry.uploads:
            self.registry.uploads[match["wanted"]] += content

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        if self.how and self.how.how == "lost":
            raise _Reset
        if self.how and self.how.how == "corrupt" and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.how and self.how.how == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            raise _Reset
        self.wfile.write(body)

    def _fail(self, status: int, code: str, message: str = "", **headers: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message or code.lower()}]}).encode()
        self._answer(status, body, Content_Type="application/json", **headers)

    # who may come in

    def _known(self, header: str) -> str | None:
        kind, _, value = header.partition(" ")
        if kind != "Basic":
            return None
        user, _, password = b64decode(value).decode().partition(":")
        return user if self.registry.users.get(user) == password else None

    def _refused(self, path: str) -> bool:
        if path == "/token":
            self._token()
            return True
        header = self.headers.get("Authorization", "")
        if self.registry.auth == "basic" and self._known(header) is None:
            self._fail(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="registry"')
        elif self.registry.auth == "bearer" and not self._granted(path, header):
            realm = f'realm="http://{self.registry.host}/token",service="registry"'
            asked = f'Bearer {realm},scope="{" ".join(self._needed(path))}"'
            self._fail(401, "UNAUTHORIZED", WWW_Authenticate=asked)
        else:
            return False
        return True

    def _needed(self, path: str) -> list[str]:
        match = UPLOAD.match(path) or BLOB.match(path) or MANIFEST.match(path)
        if match is None:
            return []
        actions = "pull" if self.command in ("GET", "HEAD") and not UPLOAD.match(path) else "pull,push"
        scopes = [f"repository:{match['name']}:{actions}"]
        return scopes + [f"repository:{one}:pull" for one in self.query.get("from", [])]

    def _granted(self, path: str, header: str) -> bool:
        granted = self.registry.tokens.get(header.removeprefix("Bearer "), "").split()
        return all(any(g.startswith(needed) for g in granted) for needed in self._needed(path)) and bool(
            granted
        )

    def _token(self) -> None:
        if self._known(self.headers.get("Authorization", "")) is None:
            return self._fail(401, "UNAUTHORIZED")
        token = uuid.uuid4().hex
        self.registry.tokens[token] = " ".join(self.query.get("scope", []))
        return self._answer(200, json.dumps({"token": token}).encode(), Content_Type="application/json")

    # what is there

    def _route(self, path: str, body: bytes) -> None:
        for pattern, act in ((UPLOAD, self._upload), (BLOB, self._blob), (MANIFEST, self._manifest)):
            match = pattern.match(path)
            if match:
                return act(match["name"], match["wanted"], body)
        return self._answer(200 if path == "/v2/" else 404)

    def _blob(self, name: str, wanted: str, body: bytes) -> None:
        content = self.registry.blobs.get((name, wanted))
        if content is None:
            return self._fail(404, "BLOB_UNKNOWN")
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        return self._answer(206 if match else 200, content[start:], Docker_Content_Digest=wanted)

    def _manifest(self, name: str, wanted: str, body: bytes) -> None:
        if self.command == "PUT":
            return self._put_manifest(name, wanted, body)
        found = self.registry.manifests.get((name, wanted))
        if found is None:
            return self._fail(404, "MANIFEST_UNKNOWN")
        digest = f"sha256:{sha256(found[0]).hexdigest()}"
        return self._answer(200, found[0], Content_Type=found[1], Docker_Content_Digest=digest)

    def _put_manifest(self, name: str, wanted: str, body: bytes) -> None:
        shape = json.loads(body)
        needed = [one["digest"] for one in (*shape.get("layers", []), shape.get("config") or {}) if one]
        missing = [d for d in needed if (name, d) not in self.registry.blobs]
        missing += [
            one["digest"]
            for one in shape.get("manifests", [])
            if (name, one["digest"]) not in self.registry.manifests
        ]
        if missing:
            return self._fail(400, "MANIFEST_BLOB_UNKNOWN", missing[0])
        digest = f"sha256:{sha256(body).hexdigest()}"
        if wanted.startswith("sha256:") and wanted != digest:
            return self._fail(400, "DIGEST_INVALID")
        for key in (wanted, digest):
            self.registry.manifests[name, key] = (body, self.headers.get("Content-Type", ""))
        return self._answer(201, Docker_Content_Digest=digest, Location=self.path)

    # what comes in

    def _upload(self, name: str, wanted: str, body: bytes) -> None:
        if self.command == "POST":
            return self._begin(name)
        held = self.registry.uploads.get(wanted)
        if held is None:
            return self._fail(404, "BLOB_UPLOAD_UNKNOWN")
        if self.command == "PATCH":
            return self._part(name, wanted, held, body)
        if self.command == "DELETE":
            del self.registry.uploads[wanted]
            return self._answer(204)
        if self.command == "GET":
            return self._answer(204, Range=f"0-{max(0, len(held) - 1)}", Location=self._place(name, wanted))
        return self._finish(name, wanted, bytes(held) + body)

    def _begin(self, name: str) -> None:
        if self.registry.repositories is not None and name not in self.registry.repositories:
            return self._fail(404, "NAME_UNKNOWN", f"The repository with name '{name}' does not exist")
        mount, source = self.query.get("mount", [""])[0], self.query.get("from", [""])[0]
        if self.registry.mounts and (source, mount) in self.registry.blobs:
            self.registry.blobs[name, mount] = self.registry.blobs[source, mount]
            return self._answer(201, Docker_Content_Digest=mount, Location=f"/v2/{name}/blobs/{mount}")
        wanted = uuid.uuid4().hex
        self.registry.uploads[wanted] = bytearray()
        return self._answer(202, Location=self._place(name, wanted), Range="0-0")

    def _place(self, name: str, wanted: str) -> str:
        return f"/v2/{name}/blobs/uploads/{wanted}?state=opaque"

    def _part(self, name: str, wanted: str, held: bytearray, body: bytes) -> None:
        if self.registry.parts == "none":
            return self._fail(405, "UNSUPPORTED")
        start = (self.headers.get("Content-Range") or f"{len(held)}-").partition("-")[0]
        if int(start) != len(held) and self.registry.parts == "all":
            return self._fail(416, "BLOB_UPLOAD_INVALID")
        if self.registry.parts == "all" or not held:
            held += body
        return self._answer(202, Location=self._place(name, wanted), Range=f"0-{len(held) - 1}")

    def _finish(self, name: str, wanted: str, content: bytes) -> None:
        digest = self.query.get("digest", [""])[0]
        if digest != f"sha256:{sha256(content).hexdigest()}":
            return self._fail(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.registry.blobs[name, digest] = content
        del self.registry.uploads[wanted]
        return self._answer(201, Docker_Content_Digest=digest, Location=f"/v2/{name}/blobs/{digest}")
