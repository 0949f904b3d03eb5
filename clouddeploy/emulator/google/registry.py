"""Artifact Registry's repositories in the embedded registry of images, and images that run.

A repository is ``<project>/<repository>/<image>`` there; which region it lies in is no part of the
name, because all share one host.
"""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.emulator.google.images import Image

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google
    from clouddeploy.emulator.registry import Space, Store

_unpacking = threading.Lock()


def space(cloud: Google) -> Space:
    """The repositories of Artifact Registry."""
    from clouddeploy.emulator.registry import Space

    def owns(name: str) -> bool:
        project, repository, *image = [*name.split("/"), "", ""][: max(3, name.count("/") + 1)]
        mark = re.compile(
            f"projects/{re.escape(project)}/locations/[^/]+/repositories/{re.escape(repository)}"
        )
        return bool(image and image[0]) and any(mark.fullmatch(n) for n in list(cloud.repositories))

    return Space(owns=owns, exists=owns)


def taken_apart(uri: str) -> tuple[str, str]:
    """The repository and the digest or tag of an image's URI."""
    host, slash, rest = uri.partition("/")
    path = rest if slash and ("." in host or ":" in host or host == "localhost") else uri
    name, at, digest = path.partition("@")
    if at:
        return name.partition(":")[0], digest
    start, colon, tag = path.rpartition(":")
    return (start, tag) if colon and "/" not in tag else (path, "latest")


def pull(store: Store, uri: str, folder: Path) -> Image | None:
    """The image with its files unpacked once below `folder`; None when there is none."""
    from clouddeploy.emulator.registry import unpack

    found = store.image(*taken_apart(uri))
    if found is None:
        return None
    # By content alone: equal images are one folder, whose modules are compiled once, whatever their names.
    root = folder / hashlib.sha256(found.digest.encode()).hexdigest()[:32]
    with _unpacking:
        if not root.exists():
            fresh = root.with_suffix(".part")
            unpack(found, fresh)
            fresh.rename(root)
    return Image(
        root=root,
        command=found.entrypoint,
        arguments=found.cmd,
        env=found.env,
        workdir=found.workdir,
    )
