"""An image, named by content before a byte of it is written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.errors import SpecError
from clouddeploy.packaging.artifact import Member, Report
from clouddeploy.packaging.images.base import Base
from clouddeploy.packaging.images.compose import check_env, check_family
from clouddeploy.packaging.images.layer import Layer
from clouddeploy.packaging.images.media import Family
from clouddeploy.packaging.images.registry import Registry
from clouddeploy.spec import digest_of

if TYPE_CHECKING:
    from clouddeploy.packaging.images.push import Pushed

FORM = 1
"""Counts up whenever the same input begins to give other bytes."""
DATE_VARIABLE = "SOURCE_DATE_EPOCH"
LAST_SECOND = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


def source_date() -> int:
    """Seconds since 1970 that images are dated with: ``SOURCE_DATE_EPOCH``, else 0.

    Source: reproducible-builds.org, "SOURCE_DATE_EPOCH".

    Raises:
        SpecError: the variable holds no number of seconds.
    """
    text = os.environ.get(DATE_VARIABLE, "0")
    if not (text.isascii() and text.isdigit()) or int(text) > LAST_SECOND:
        raise SpecError(
            f"{DATE_VARIABLE} is {text!r}", why="it must be seconds since 1970", fix="correct or unset it"
        )
    return int(text)


@dataclass(frozen=True)
class ImageArtifact:
    """A base image with our layers on it: same input, same bytes, same digests.

    Args:
        base: what it begins with; it also says for which platform it is.
        layers: what is added, what changes seldom first.
        cmd: the command, or the entrypoint's arguments; None keeps the base's.
        entrypoint: None keeps the base's, and with it the base's command.
        env: environment variables on top of the base's.
        workdir: the folder to start in; empty keeps the base's.
        family: of media types, ``"oci"`` or ``"docker"``.
        created: the date it bears, in seconds since 1970.

    Raises:
        SpecError: `env` can't be set, or `family` has no name for a layer of the base.
    """

    base: Base
    layers: tuple[Layer, ...]
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    family: Family = "oci"
    created: int = field(default_factory=source_date)

    def __post_init__(self) -> None:
        object.__setattr__(self, "env", dict(sorted(self.env.items())))
        check_env(self.env)
        check_family(self.base, self.family)

    @classmethod
    def of(
        cls,
        base: Base,
        members: Iterable[Member],
        *,
        root: str,
        cmd: Iterable[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> ImageArtifact:
        """`base` with one layer of `members` under the folder `root`; errors as `Layer`."""
        layers = (Layer.of(members, root=root, what="files"),)
        return cls(base, layers, cmd=None if cmd is None else tuple(cmd), env=env or {})

    @cached_property
    def digest(self) -> str:
        """sha256 over the base's digest, the files and the settings; known before any byte is written.

        This names what goes in; the registry's name, the manifest's digest, is known after `write`
        or `push`.
        """
        return digest_of(
            {
                "form": FORM,
                "base": self.base.digest,
                "layers": [[one.root, one.what, one.content.digest] for one in self.layers],
                "cmd": self.cmd,
                "entrypoint": self.entrypoint,
                "env": dict(self.env),
                "workdir": self.workdir,
                "family": self.family,
                "created": self.created,
            }
        )

    @property
    def architecture(self) -> str:
        """``"amd64"`` or ``"arm64"``."""
        return self.base.architecture

    @property
    def size(self) -> int:
        """Bytes of our files, uncompressed, without the base."""
        return sum(layer.size for layer in self.layers)

    def write(self, out: Path, *, tag: str = "latest", report: Report | None = None) -> Path:
        """Write the whole image, base included, to the new folder `out`, in the OCI layout.

        Atomic: `out` appears whole or not at all, and after a failure or Ctrl-C nothing is left.

        Args:
            tag: the image's name within the folder, for other tools.
            report: told ``(done, total)`` in bytes packed or fetched.

        Raises:
            ModelChanged: a file isn't what it was when the model was made.
            ModelError: a file can't be read, or the disk is full.
            SpecError: `out` is there already or can't be written, or `family` isn't ``"oci"``.
            CloudError, CredentialsError: the base's layers can't be had.
        """
        from clouddeploy.packaging.images.layout import write_layout

        return write_layout(self, Path(out), tag=tag, report=report)

    def find(self, registry: Registry, repository: str, tag: str) -> Pushed | None:
        """This image where `tag` names it already; None otherwise. Nothing is packed or sent.

        Raises:
            SpecError: `repository` or `tag` is none.
            CloudError, CredentialsError: the registry refused or failed.
        """
        from clouddeploy.packaging.images.push import find

        return find(self, registry, repository, tag)

    def push(
        self,
        registry: Registry,
        repository: str,
        tag: str,
        *,
        report: Report | None = None,
        building: Report | None = None,
    ) -> Pushed:
        """Send it to a registry. What is there already isn't sent again; the tag comes last.

        Args:
            report: told ``(done, total)`` in bytes that the registry has.
            building: told ``(done, total)`` in bytes packed, before anything is sent.

        Raises:
            ModelChanged: a file isn't what it was when the model was made.
            ModelError: a file can't be read, or the disk is full.
            SpecError: `repository` or `tag` is none.
            CredentialsError: the registry refuses access.
            CloudError: it refused, has no such repository, or kept failing.
        """
        from clouddeploy.packaging.images.push import push

        return push(self, registry, repository, tag, report=report, building=building)
