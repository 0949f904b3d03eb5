"""One image in the store, as far as running it needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker.distribution.manifest."
IMAGES = frozenset({f"{OCI}manifest.v1+json", f"{DOCKER}v2+json"})
INDEXES = frozenset({f"{OCI}index.v1+json", f"{DOCKER}list.v2+json"})
LABEL_STAND_IN, LABEL_PYTHON = "clouddeploy.stand-in", "clouddeploy.python"
"""Labels of images that begin with a stand-in, and the Python that it stands in for."""
ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}
"""Go's names of architectures, and the clouds'."""


@dataclass(frozen=True)
class StoredLayer:
    """One layer: the digest of the compressed bytes, their media type and the file that holds them."""

    digest: str
    media_type: str
    path: Path


@dataclass(frozen=True)
class StoredImage:
    """An image for one platform.

    Args:
        repository: where it was found.
        digest: of its manifest, ``sha256:…``.
        layers: lowest first.
        document: its configuration (OCI Image Specification, "Image Configuration").
        size: bytes of its compressed layers and its documents.
    """

    repository: str
    digest: str
    layers: tuple[StoredLayer, ...]
    document: Mapping[str, Any] = field(repr=False)
    size: int

    @property
    def architecture(self) -> str:
        """``x86_64`` or ``arm64``; Go's name for any other."""
        found = str(self.document.get("architecture", ""))
        return ARCHITECTURES.get(found, found)

    @property
    def config(self) -> Mapping[str, Any]:
        """What a container of it is started with."""
        found: Mapping[str, Any] = self.document.get("config") or {}
        return found

    @property
    def env(self) -> dict[str, str]:
        """Its environment variables."""
        return dict(entry.partition("=")[::2] for entry in self.config.get("Env") or ())

    @property
    def entrypoint(self) -> tuple[str, ...]:
        """Its entry point."""
        return tuple(self.config.get("Entrypoint") or ())

    @property
    def cmd(self) -> tuple[str, ...]:
        """Its command, or the entry point's arguments."""
        return tuple(self.config.get("Cmd") or ())

    @property
    def workdir(self) -> str:
        """Where its process starts, absolute."""
        return str(self.config.get("WorkingDir") or "/")

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.config.get("Labels") or {})

    @property
    def is_stand_in(self) -> bool:
        """Whether its base is one of ours, which holds no system: this machine's Python runs it."""
        return LABEL_STAND_IN in self.labels
