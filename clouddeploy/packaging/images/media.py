"""The two families of media types, OCI's and Docker's, whose documents differ in these names only.

Sources: OCI Image Specification ("Media Types", with its compatibility matrix) and Docker's "Image
Manifest Version 2, Schema 2".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from clouddeploy.errors import CloudError
from clouddeploy.packaging.images.reference import DIGEST

Family = Literal["oci", "docker"]

_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."
INDEXES = (f"{_OCI}index.v1+json", f"{_DOCKER}distribution.manifest.list.v2+json")
MANIFESTS: dict[Family, str] = {
    "oci": f"{_OCI}manifest.v1+json",
    "docker": f"{_DOCKER}distribution.manifest.v2+json",
}
CONFIGS: dict[Family, str] = {
    "oci": f"{_OCI}config.v1+json",
    "docker": f"{_DOCKER}container.image.v1+json",
}
_LAYERS: tuple[tuple[str, str], ...] = (
    (f"{_OCI}layer.v1.tar+gzip", f"{_DOCKER}image.rootfs.diff.tar.gzip"),
    (f"{_OCI}layer.v1.tar", f"{_DOCKER}image.rootfs.diff.tar"),
    (f"{_OCI}layer.v1.tar+zstd", ""),  # Docker's family has no name for it
)
LAYERS: dict[Family, str] = {"oci": _LAYERS[0][0], "docker": _LAYERS[0][1]}
ACCEPT = ", ".join((*INDEXES, *MANIFESTS.values()))


@dataclass(frozen=True)
class Descriptor:
    """A blob by content.

    Args:
        media_type: what it is.
        digest: ``sha256:`` and 64 hex digits.
        size: bytes.
    """

    media_type: str
    digest: str
    size: int

    @classmethod
    def parse(cls, value: object, where: str) -> Descriptor:
        """One read from a registry, which may send anything; `where` is what messages call it.

        Raises:
            CloudError: it is none, or its digest is of another kind than sha256.
        """
        shape = value if isinstance(value, Mapping) else {}
        media, digest, size = shape.get("mediaType"), shape.get("digest"), shape.get("size")
        good = isinstance(media, str) and isinstance(digest, str) and DIGEST.match(digest)
        if not good or not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise damaged(where, f"it holds {str(value)[:120]}, which describes no blob by sha256 and size")
        return cls(str(media), str(digest), size)

    def to_dict(self) -> dict[str, object]:
        """As manifests hold it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def layer_type(media_type: str, family: Family) -> str | None:
    """The name that a layer of `media_type` has in `family`; None where it has none."""
    for names in _LAYERS:
        if media_type in names:
            return names[0 if family == "oci" else 1] or None
    return None


def document(raw: bytes, where: str) -> dict[str, Any]:
    """A JSON object that a registry sent.

    Raises:
        CloudError: it is none.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise damaged(where, f"it is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise damaged(where, f"it is JSON, yet no object: {raw[:80]!r}")
    return value


def canonical(value: object) -> bytes:
    """The one way in which we write a document: same content, same digest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def damaged(where: str, why: str) -> CloudError:
    """The error for what a registry holds and can't be used."""
    return CloudError(
        f"{where} can't be used",
        why=why,
        fix="check the reference, or push that image again",
        code="damaged",
    )
