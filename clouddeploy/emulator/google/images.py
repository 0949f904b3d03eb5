"""What a container's image is here: files in a folder, and how to start them.

A function's build puts its image here under the name that Artifact Registry would have; images of a
Cloud Run service come from the embedded registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image. `command` is its entry point, `arguments` its command; the rest as in `RevisionSpec`."""

    root: Path
    environment: Path | None = None
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    entry_point: str = ""
    signature: str = "http"
    workdir: str = ""


class Images:
    """Images by URI.

    Args:
        pull: fetches one that wasn't built here; None when there is none.
    """

    def __init__(self, pull: Callable[[str], Image | None]) -> None:
        self._built: dict[str, Image] = {}
        self._pull = pull

    def put(self, uri: str, image: Image) -> None:
        """Keep what a build made."""
        self._built[uri] = image

    def find(self, uri: str) -> Image | None:
        """The image, or None."""
        return self._built.get(uri) or self._pull(uri)

    def drop(self, uri: str) -> None:
        """Forget a version of what a build made."""
        self._built.pop(uri, None)

    def clear(self) -> None:
        """Forget everything."""
        self._built.clear()
