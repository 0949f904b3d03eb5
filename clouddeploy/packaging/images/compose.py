"""The two documents of an image, configuration and manifest: the base's with ours added."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import SpecError
from clouddeploy.packaging.images.layer import Packed
from clouddeploy.packaging.images.media import (
    CONFIGS,
    LAYERS,
    MANIFESTS,
    Descriptor,
    Family,
    canonical,
    layer_type,
)

if TYPE_CHECKING:
    from clouddeploy.packaging.images.base import Base
    from clouddeploy.packaging.images.image import ImageArtifact

LABEL = "clouddeploy.digest"
"""Label with the artifact's digest, so that an image tells what it was made of."""
BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"


def config_of(image: ImageArtifact, packed: Sequence[Packed]) -> bytes:
    """The configuration: the base's, with our layers, environment, command and date."""
    config: dict[str, Any] = json.loads(image.base.config)
    when = datetime.fromtimestamp(image.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config["created"] = when
    ids = list(config["rootfs"]["diff_ids"])
    config["rootfs"] = {"type": "layers", "diff_ids": ids + [one.diff_id for one in packed]}
    history = config.get("history")
    # A history that doesn't tell of each layer is refused by some readers; none at all is right.
    if isinstance(history, list) and len([h for h in history if not h.get("empty_layer")]) == len(ids):
        ours = [{"created": when, "created_by": f"clouddeploy: {layer.what}"} for layer in image.layers]
        config["history"] = [*history, *ours]
    else:
        config.pop("history", None)
    config["config"] = _process(config.get("config") or {}, image)
    return canonical(config)


def _process(inner: dict[str, Any], image: ImageArtifact) -> dict[str, Any]:
    env = dict(entry.partition("=")[::2] for entry in inner.get("Env") or [])
    env.update(image.env)
    labels = {**(inner.get("Labels") or {}), LABEL: image.digest}
    changed: dict[str, Any] = {"Env": [f"{name}={value}" for name, value in env.items()], "Labels": labels}
    if image.entrypoint is not None:
        changed |= {"Entrypoint": list(image.entrypoint), "Cmd": []}  # a base's command is for its entrypoint
    if image.cmd is not None:
        changed["Cmd"] = list(image.cmd)
    if image.workdir:
        changed["WorkingDir"] = image.workdir
    return {**inner, **changed}


def manifest_of(image: ImageArtifact, config: Descriptor, packed: Sequence[Packed]) -> bytes:
    """The manifest: the base's layers, then ours."""
    family = image.family
    layers = [Descriptor(_renamed(layer, family), layer.digest, layer.size) for layer in image.base.layers]
    layers += [Descriptor(LAYERS[family], one.digest, one.size) for one in packed]
    manifest: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[family],
        "config": config.to_dict(),
        "layers": [layer.to_dict() for layer in layers],
    }
    if family == "oci":
        manifest["annotations"] = {BASE_NAME: image.base.name, BASE_DIGEST: image.base.digest}
    return canonical(manifest)


def config_type(family: Family) -> str:
    """The configuration's media type."""
    return CONFIGS[family]


def check_family(base: Base, family: Family) -> None:
    """Refuse a family of media types that has no name for a layer of the base.

    Raises:
        SpecError: it is so.
    """
    for layer in base.layers:
        _renamed(layer, family)


def _renamed(layer: Descriptor, family: Family) -> str:
    name = layer_type(layer.media_type, family)
    if name is None:
        raise SpecError(
            f"the base image has a layer of the type {layer.media_type!r}",
            why=f"{family} manifests have no name for it",
            fix="choose family='oci', or another base image",
        )
    return name


def check_env(env: Mapping[str, str]) -> None:
    """Refuse names and values that no process can be given.

    Raises:
        SpecError: a name is empty or holds ``=``, or something holds a NUL.
    """
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + value:
            raise SpecError(
                f"env[{name!r}] can't be set",
                why="a name must not be empty nor hold '='; neither name nor value may hold a NUL",
                fix="rename it",
            )
