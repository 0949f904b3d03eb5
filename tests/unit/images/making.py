"""Base images of a few bytes, and registries to put them in."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import shutil
import socket
import socketserver
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from clouddeploy.packaging import Member
from clouddeploy.packaging.images import Base, ImageArtifact, Registry, Retries
from clouddeploy.packaging.images.blob import Blob
from clouddeploy.packaging.images.media import CONFIGS, INDEXES, LAYERS, MANIFESTS, Family

FAST = Retries(attempts=4, first_delay_s=0, most_delay_s=0)
HTPASSWD = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # password: secret
FILES = (
    Member.of_bytes("lambda_handler.py", b"def handler(event, context): ...\n"),
    Member.of_bytes("app/handler.py", b"def predict(x): return x\n"),
    Member.of_bytes("model/weights.bin", bytes(range(256)) * 1000),
    Member.of_bytes("numpy/__init__.py", b"zeros = None\n"),
)


def reach(host: str, **options) -> Registry:
    """A client of the registry at `host` that doesn't wait."""
    return Registry(host, **{"retries": FAST, **options})


def base_layer(text: str) -> tuple[bytes, str]:
    """A gzipped tar with one file, and the digest of the tar."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        content = text.encode()
        info = tarfile.TarInfo("etc/base")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0), f"sha256:{sha256(raw.getvalue()).hexdigest()}"


def config_of(architecture: str, diff_ids: list[str], **more) -> bytes:
    """An image's configuration as AWS's base images have it."""
    return json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "2026-01-02T03:04:05Z",
            "config": {
                "Env": ["PATH=/usr/bin:/bin", "LAMBDA_TASK_ROOT=/var/task"],
                "Entrypoint": ["/lambda-entrypoint.sh"],
                "Cmd": ["nothing"],
                "WorkingDir": "/var/task",
                "Labels": {"maker": "test"},
            },
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": "ADD"}, {"created_by": "ENV", "empty_layer": True}]
            + [{}] * (len(diff_ids) - 1),
            **more,
        }
    ).encode()


def put_image(
    registry: Registry, repository: str, tag: str, *, family: Family, architecture: str, **more
) -> dict:
    """Push a base image for one platform; returns its descriptor."""
    layers, ids = [], []
    for text in ("system", f"python for {architecture}"):
        content, diff_id = base_layer(text)
        blob = Blob.of_bytes(content)
        registry.put_blob(repository, blob)
        layers.append({"mediaType": LAYERS[family], "digest": blob.digest, "size": blob.size})
        ids.append(diff_id)
    config = Blob.of_bytes(config_of(architecture, ids, **more))
    registry.put_blob(repository, config)
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFESTS[family],
            "config": {"mediaType": CONFIGS[family], "digest": config.digest, "size": config.size},
            "layers": layers,
        }
    ).encode()
    digest = registry.put_manifest(repository, tag, raw, MANIFESTS[family])
    return {
        "mediaType": MANIFESTS[family],
        "digest": digest,
        "size": len(raw),
        "platform": {"os": "linux", "architecture": architecture},
    }


def put_index(registry: Registry, repository: str, tag: str, *, family: Family = "oci") -> str:
    """Push a base image for two platforms, with a provenance beside it as builders add them."""
    entries = [
        put_image(registry, repository, f"{tag}-{one}", family=family, architecture=one)
        for one in ("amd64", "arm64")
    ]
    entries.insert(0, {**entries[0], "platform": {"os": "unknown", "architecture": "unknown"}})
    media = INDEXES[0 if family == "oci" else 1]
    raw = json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": entries}).encode()
    return registry.put_manifest(repository, tag, raw, media)


def image_on(
    registry: Registry, *, architecture: str = "arm64", tag: str = "3.13", **options
) -> ImageArtifact:
    """An image of `FILES` on the base image lambda/python."""
    base = Base.resolve(f"{registry.host}/lambda/python:{tag}", architecture=architecture, registry=registry)
    return ImageArtifact.of(base, FILES, root="/var/task", cmd=["lambda_handler.handler"], **options)


def tree(folder: Path) -> dict[str, bytes]:
    """Files below `folder`, by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def missing(program: str) -> str:
    """Why tests with `program` can't run here; empty when they can."""
    return "" if shutil.which(program) else f"{program} is not installed (Debian has it as {program})"


@contextmanager
def docker_registry(folder: Path, *, login: bool = False) -> Iterator[str]:
    """Debian's docker-registry on a free port, its files in `folder`; its host."""
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = f"auth: {{htpasswd: {{realm: here, path: {folder / 'htpasswd'}}}}}\n" if login else ""
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: info}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:0', secret: here}}\n{auth}"
    )
    command = ["docker-registry", "serve", str(folder / "config.yml")]
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield _listening(log, process)
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def cutting(host: str, *, after: int, times: int = 1) -> Iterator[str]:
    """A way to `host` whose first `times` connections that carry more than `after` bytes break there."""
    left = [times]
    name, _, port = host.partition(":")

    class Pass(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((name, int(port))) as onward:
                back = threading.Thread(target=self.back, args=(onward,), daemon=True)
                back.start()
                self.forth(onward)
                back.join(timeout=10)

        def forth(self, onward: socket.socket) -> None:
            count = 0
            while data := self.request.recv(65536):
                count += len(data)
                if count > after and left[0]:
                    left[0] -= 1
                    self.request.shutdown(socket.SHUT_RDWR)
                    break
                onward.sendall(data)
            onward.shutdown(socket.SHUT_WR)

        def back(self, onward: socket.socket) -> None:
            with contextlib.suppress(OSError):  # either end may be gone
                while data := onward.recv(65536):
                    self.request.sendall(data)
                self.request.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pass) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _listening(log: Path, process: subprocess.Popen) -> str:
    """The address that the system gave it, from its log."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"docker-registry doesn't listen: {log.read_text()[-2000:]}")
