"""The image that ours begins with, pinned by the digest of its manifest."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from clouddeploy.errors import SpecError
from clouddeploy.packaging.images.blob import digest_of_bytes
from clouddeploy.packaging.images.http import ANSWER_BYTES
from clouddeploy.packaging.images.media import CONFIGS, INDEXES, Descriptor, damaged, document, layer_type
from clouddeploy.packaging.images.reference import Reference
from clouddeploy.packaging.images.registry import Registry

ARCHITECTURES = {"amd64": "amd64", "x86_64": "amd64", "arm64": "arm64", "aarch64": "arm64"}
"""Names in use, and the one that images have (OCI Image Index Specification: Go's GOARCH)."""


class Source(Protocol):
    """Where an image's parts can be had."""

    @property
    def host(self) -> str:
        """The registry's; empty where there is none."""

    @property
    def repository(self) -> str:
        """Within the registry."""

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        """A manifest or index, and its media type."""

    def fetch(self, wanted: Descriptor, file: BinaryIO, told: Callable[[int], None] | None = None) -> None:
        """Write a blob to `file`, its digest checked."""


@dataclass(frozen=True)
class Remote:
    """A repository of a registry."""

    registry: Registry
    repository: str

    @property
    def host(self) -> str:
        """The registry's."""
        return self.registry.host

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        """See `Registry.manifest`."""
        return self.registry.manifest(self.repository, wanted)

    def fetch(self, wanted: Descriptor, file: BinaryIO, told: Callable[[int], None] | None = None) -> None:
        """See `Registry.fetch`."""
        self.registry.fetch(self.repository, wanted, file, told)


@dataclass(frozen=True)
class Base:
    """An image for one platform, known by its manifest and configuration; its layers stay where they are.

    Args:
        name: by digest where it has a place in a registry: the same for ever.
        digest: of its manifest, ``sha256:…``.
        architecture: ``"amd64"`` or ``"arm64"``.
        layers: what it consists of.
        config: its configuration, as it was read.
        source: where the layers can be had.
    """

    name: str
    digest: str
    architecture: str
    layers: tuple[Descriptor, ...]
    config: bytes = field(repr=False)
    source: Source = field(repr=False, compare=False)

    @classmethod
    def resolve(cls, reference: str, *, architecture: str, registry: Registry | None = None) -> Base:
        """The image that `reference` names now, for linux on `architecture`.

        Args:
            reference: such as ``public.ecr.aws/lambda/python:3.13``; with ``@sha256:…`` it can't
                become another image. The digest may be an index's or a manifest's.
            architecture: ``amd64`` (``x86_64``) or ``arm64`` (``aarch64``).
            registry: asked instead of the one that the reference names, for credentials or a mirror.

        Raises:
            SpecError: the reference is none, or the image isn't for that platform.
            NotFound: there is no such image.
            CloudError, CredentialsError: the registry refused, or what it sent can't be used.
        """
        wanted = Reference.parse(reference)
        source = Remote(registry or Registry(wanted.host), wanted.repository)
        return read_base(source, wanted.wanted, architecture, reference, wanted.pinned)


def read_base(
    source: Source, wanted: str, architecture: str, name: str, pinned: Callable[[str], str]
) -> Base:
    """The image `wanted` of `source`; errors as `Base.resolve`."""
    machine = check_architecture(architecture)
    raw, media_type = source.manifest(wanted)
    shape = document(raw, name)
    if "manifests" in shape or shape.get("mediaType", media_type) in INDEXES:
        chosen = _choose(shape, machine, name)
        raw, media_type = source.manifest(chosen.digest)
        shape = document(raw, name)
    if shape.get("schemaVersion") != 2 or not isinstance(shape.get("layers"), list):
        raise damaged(name, "its manifest is neither OCI's nor Docker's of schema version 2")
    layers = tuple(Descriptor.parse(layer, name) for layer in shape["layers"])
    for layer in layers:
        if layer_type(layer.media_type, "oci") is None:
            raise damaged(name, f"a layer is of the type {layer.media_type!r}, which isn't for linux")
    config = _config(source, Descriptor.parse(shape.get("config"), name), name)
    _check_config(document(config, f"the configuration of {name}"), machine, len(layers), name)
    digest = digest_of_bytes(raw)
    return Base(pinned(digest), digest, machine, layers, config, source)


def check_architecture(architecture: str) -> str:
    """The name that images have for `architecture`.

    Raises:
        SpecError: it is none that we know.
    """
    if architecture not in ARCHITECTURES:
        raise SpecError(
            f"architecture is {architecture!r}",
            why=f"allowed: {', '.join(map(repr, ARCHITECTURES))}",
            fix="choose one",
        )
    return ARCHITECTURES[architecture]


def _choose(index: Mapping[str, Any], machine: str, name: str) -> Descriptor:
    entries = index.get("manifests")
    offered = []
    for entry in entries if isinstance(entries, list) else []:
        platform = entry.get("platform") if isinstance(entry, Mapping) else None
        if not isinstance(platform, Mapping):
            continue
        pair = f"{platform.get('os')}/{platform.get('architecture')}"
        if pair == f"linux/{machine}":
            return Descriptor.parse(entry, name)
        offered.append(pair)
    raise _other_platform(name, machine, sorted({pair for pair in offered if "unknown" not in pair}))


def _config(source: Source, wanted: Descriptor, name: str) -> bytes:
    if wanted.media_type not in CONFIGS.values():
        raise damaged(
            name, f"its configuration is of the type {wanted.media_type!r}: it is no container image"
        )
    if wanted.size > ANSWER_BYTES:
        raise damaged(name, f"its configuration has {wanted.size:,} bytes")
    file = io.BytesIO()
    source.fetch(wanted, file)
    return file.getvalue()


def _check_config(config: Mapping[str, Any], machine: str, layers: int, name: str) -> None:
    system, found = config.get("os", "linux"), config.get("architecture")
    if (system, found) != ("linux", machine):
        raise _other_platform(name, machine, [f"{system}/{found}"])
    rootfs = config.get("rootfs")
    ids = rootfs.get("diff_ids") if isinstance(rootfs, Mapping) else None
    if not _strings(ids) or len(ids or ()) != layers:
        raise damaged(name, "its configuration and its manifest have different numbers of layers")
    inner = config.get("config") or {}
    if not isinstance(inner, Mapping) or not _strings(inner.get("Env") or []):
        raise damaged(name, "its configuration's environment is no list of texts")
    if not isinstance(inner.get("Labels") or {}, Mapping):
        raise damaged(name, "its configuration's labels are no mapping")
    history = config.get("history") or []
    if not isinstance(history, list) or not all(isinstance(entry, Mapping) for entry in history):
        raise damaged(name, "its configuration's history is no list of entries")


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _other_platform(name: str, machine: str, offered: list[str]) -> SpecError:
    return SpecError(
        f"the base image {name} isn't for linux/{machine}",
        why=f"it is for {', '.join(offered) or 'no platform that it names'}",
        fix="choose another architecture, or another base image",
    )
