"""Whose repositories there are: each product that offers some tells what it has, and whom it lets in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _anybody(_authorization: str, _repository: str, _pushing: bool) -> bool:
    return True


def _never(_repository: str) -> bool:
    return False


def _unknown(repository: str) -> str:
    return f"repository name {repository!r} not known to registry"


@dataclass(frozen=True)
class Space:
    """The repositories of one product. All callables are asked from several threads at once.

    Args:
        owns: whether a repository's name is the product's.
        exists: whether there is such a repository, so that it may be pushed to.
        admits: whether an ``Authorization`` header (may be empty) is good for a repository; the third
            argument tells whether something is to be changed there.
        challenge: ``WWW-Authenticate`` for who isn't let in.
        frozen: whether a repository's tags can't be moved.
        missing: what the product says of a repository that isn't there.
    """

    owns: Callable[[str], bool]
    exists: Callable[[str], bool]
    admits: Callable[[str, str, bool], bool] = _anybody
    challenge: str = 'Basic realm="registry"'
    frozen: Callable[[str], bool] = _never
    missing: Callable[[str], str] = _unknown
