"""Base images that need no network: what AWS's and Docker's are called, with nothing in them.

Their one layer is empty. What runs an image on top of them is this machine's own Python, as its log
says; their configurations tell what the real ones' do (``public.ecr.aws/lambda/python:3.13`` and
``docker.io/library/python:3.13-slim``, read in November 2026), as far as Python programs look at it.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from hashlib import sha256
from typing import Any

from clouddeploy.emulator.registry.images import LABEL_PYTHON, LABEL_STAND_IN, OCI
from clouddeploy.emulator.registry.spaces import Space
from clouddeploy.emulator.registry.store import Store

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
LAMBDA, SLIM = "lambda/python", ("python", "library/python")
REPOSITORIES = frozenset((LAMBDA, *SLIM))
TOLD = "a stand-in of the embedded cloud: this machine's own Python runs what is built on it"


def space() -> Space:
    """The repositories of the stand-ins, which nobody pushes to."""
    return Space(
        owns=REPOSITORIES.__contains__,
        exists=REPOSITORIES.__contains__,
        admits=lambda _authorization, _repository, pushing: not pushing,
    )


def fill(store: Store) -> None:
    """Put the stand-ins for both architectures into `store`."""
    for python in PYTHONS:
        _put(store, LAMBDA, python, _lambda(), python)
        for repository in SLIM:
            _put(store, repository, f"{python}-slim", _slim(python), python)


def _lambda() -> dict[str, Any]:
    return {
        "Env": [
            "LANG=en_US.UTF-8",
            "TZ=:/etc/localtime",
            "PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            "LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:"
            "/var/task/lib:/opt/lib",
            "LAMBDA_TASK_ROOT=/var/task",
            "LAMBDA_RUNTIME_DIR=/var/runtime",
        ],
        "Entrypoint": ["/lambda-entrypoint.sh"],
        "WorkingDir": "/var/task",
    }


def _slim(python: str) -> dict[str, Any]:
    path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"Env": [path, "LANG=C.UTF-8", f"PYTHON_VERSION={python}"], "Cmd": ["python3"]}


def _put(store: Store, repository: str, tag: str, config: dict[str, Any], python: str) -> None:
    """One image for each architecture, and the index that the tag names."""
    raw = io.BytesIO()
    tarfile.open(fileobj=raw, mode="w").close()
    packed = gzip.compress(raw.getvalue(), mtime=0)
    layer = _entry(f"{OCI}layer.v1.tar+gzip", packed, store.add_bytes(repository, packed))
    labels = {LABEL_STAND_IN: TOLD, LABEL_PYTHON: python}
    entries = []
    for architecture in ("amd64", "arm64"):
        document = {
            "architecture": architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {**config, "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(raw.getvalue()).hexdigest()}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": TOLD}],
        }
        content = json.dumps(document, sort_keys=True).encode()
        kind = f"{OCI}config.v1+json"
        image = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}manifest.v1+json",
            "config": _entry(kind, content, store.add_bytes(repository, content)),
            "layers": [layer],
        }
        packed_image = json.dumps(image, sort_keys=True).encode()
        made = store.put(repository, f"sha256:{sha256(packed_image).hexdigest()}", packed_image, "")
        platform = {"architecture": architecture, "os": "linux"}
        entries.append({**_entry(made.media_type, packed_image, made.digest), "platform": platform})
    index = {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": entries}
    store.put(repository, tag, json.dumps(index, sort_keys=True).encode(), "")


def _entry(media_type: str, content: bytes, digest: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": len(content)}
