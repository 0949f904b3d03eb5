"""One call of one of the APIs, as the handlers see it."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ANYBODY = "anonymous"


@dataclass(frozen=True)
class Call:
    """What is called, with what.

    Args:
        service: as in the call seam: ``functions``, ``run``, ``iam`` …
        method: such as ``CreateFunction``.
        name: the path's resource: what stands between ``/v2/`` and a verb or collection.
        query: parameters of the query, by their JSON names.
        body: the JSON body, read by the method's message where it has one.
        principal: who calls: an e-mail address, or `ANYBODY`.
    """

    service: str
    method: str
    name: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    principal: str = ANYBODY

    @property
    def project(self) -> str:
        """The project of the path, or an empty text."""
        return part(self.name, "projects")

    @property
    def region(self) -> str:
        """The location of the path, or an empty text."""
        return part(self.name, "locations")

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    def flag(self, name: str) -> bool:
        """A boolean parameter."""
        return self.query.get(name, "").lower() == "true"


def part(name: str, collection: str) -> str:
    """The identifier after `collection` in a resource name, or an empty text."""
    parts = name.split("/")
    pairs = dict(zip(parts[::2], parts[1::2], strict=False))
    return pairs.get(collection, "")


def now() -> str:
    """The time as the APIs write it, with microseconds."""
    return stamp(dt.datetime.now(dt.UTC).timestamp())


def stamp(seconds: float) -> str:
    """Seconds since 1970 as the APIs write a time."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(text: str) -> float:
    """A time of the APIs as seconds since 1970."""
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def etag() -> str:
    """A value that no other state has."""
    return f'"{secrets.token_urlsafe(12)}"'


def number(project: str) -> str:
    """The number that stands for a project in some answers; computed from its name."""
    import hashlib

    return str(10**11 + int(hashlib.sha256(project.encode()).hexdigest()[:9], 16))
