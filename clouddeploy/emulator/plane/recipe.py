"""What containers are made of, and what running one takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from clouddeploy.emulator.plane.artifact import Source
from clouddeploy.emulator.plane.environment import digest
from clouddeploy.emulator.plane.process import Process
from clouddeploy.emulator.registry.images import StoredImage

Sink = Callable[[str], None]


class StartFailed(Exception):
    """The container can't serve; the message is why, for people."""


@dataclass(frozen=True)
class Recipe:
    """What makes two containers the same: their bytes and their environment variables.

    Args:
        source: the model data; None when the image holds the model.
        content: digest of the model data when the endpoint was made.
        variables: environment variables, sorted.
        image: an image of the embedded registry; None for AWS's own, which holds the inference toolkit.
    """

    source: Source | None
    content: str
    variables: tuple[tuple[str, str], ...]
    image: StoredImage | None = None

    @property
    def key(self) -> str:
        """Equal for containers that can be shared."""
        image = self.image.digest if self.image else ""
        return digest([self.content, image, *(f"{k}={v}" for k, v in self.variables)])


class Program(Protocol):
    """A container's files, ready to be run, again and again."""

    def run(self, log: Sink) -> Process:
        """Start its process.

        Raises:
            StartFailed: there is nothing that could be started.
        """

    def advice(self) -> str:
        """What may be the matter when it doesn't serve, as far as that is this machine's doing."""
