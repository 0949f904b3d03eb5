"""moto's ECR backend: which repositories there are, their tags and their policies; the images are ours."""

from __future__ import annotations

from typing import Any

from clouddeploy.emulator.settings import ACCOUNT


def _known(region: str) -> dict[str, Any]:
    from moto.ecr.models import ecr_backends

    try:
        found: dict[str, Any] = ecr_backends[ACCOUNT][region].repositories
    except KeyError:  # no region of AWS's
        return {}
    return found


def exists(region: str, name: str) -> bool:
    """Whether there is such a repository."""
    return name in _known(region)


def is_immutable(region: str, name: str) -> bool:
    """Whether its tags can't be moved."""
    found = _known(region).get(name)
    return found is not None and bool(found.is_tag_immutable())


def name_uris(region: str, start: str) -> None:
    """Have the repositories of a region tell URIs that begin with `start`."""
    for name, raw in _known(region).items():
        raw.uri = f"{start}/{name}"
