"""Base images kept as they were first found, like a lock file keeps versions.

A tag such as ``python:3.13-slim`` becomes another image every few weeks. What was found is kept in the
cache folder, so that the same wish stays the same image, and making a plan asks no registry;
``CLOUDDEPLOY_RELOCK=1`` asks anew.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from clouddeploy.packaging.cache import cache_folder, keep_file
from clouddeploy.packaging.images.base import Base, Remote, check_architecture
from clouddeploy.packaging.images.media import Descriptor
from clouddeploy.packaging.images.reference import Reference
from clouddeploy.packaging.images.registry import Registry
from clouddeploy.packaging.wheels import RELOCK
from clouddeploy.spec import digest_of


def locked_base(reference: str, *, architecture: str, registry: Registry | None = None) -> Base:
    """`Base.resolve`, remembered; arguments and errors as there."""
    wanted = Reference.parse(reference)
    source = Remote(registry or Registry(wanted.host), wanted.repository)
    machine = check_architecture(architecture)
    kept = _place(reference, machine, source.host)
    if os.environ.get(RELOCK, "") in ("", "0"):
        found = _read(kept, source, machine)
        if found is not None:
            return found
    base = Base.resolve(reference, architecture=architecture, registry=source.registry)
    keep_file(kept, _written(base))
    return base


def _place(reference: str, machine: str, host: str) -> Path:
    key = digest_of({"reference": reference, "architecture": machine, "host": host})
    return cache_folder() / "bases" / f"{key[:32]}.json"


def _written(base: Base) -> bytes:
    shape = {
        "name": base.name,
        "digest": base.digest,
        "layers": [[layer.media_type, layer.digest, layer.size] for layer in base.layers],
        "config": b64encode(base.config).decode(),
    }
    return json.dumps(shape, indent=1).encode()


def _read(path: Path, source: Remote, machine: str) -> Base | None:
    """What `path` keeps; None where there is nothing, or something else."""
    try:
        shape: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        layers = tuple(Descriptor(*row) for row in shape["layers"])
        return Base(shape["name"], shape["digest"], machine, layers, b64decode(shape["config"]), source)
    except (OSError, ValueError, KeyError, TypeError):
        return None
