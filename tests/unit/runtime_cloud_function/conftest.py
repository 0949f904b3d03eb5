"""Requests as Flask makes them, events as functions-framework makes them, and Google's APIs on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.runtime.cloud_function import CloudFunction, start
from tests.unit.runtime_cloud_function.google import Google
from tests.unit.runtime_function.conftest import MakePackage, package  # noqa: F401  # a fixture


@dataclass(frozen=True)
class Headers:
    """Headers whose names are found in any case, as werkzeug's are."""

    given: Mapping[str, str]

    def get(self, key: str, default: str) -> str:
        """As werkzeug's."""
        return {name.lower(): value for name, value in self.given.items()}.get(key.lower(), default)


@dataclass
class Request:
    """What the entry uses of a Flask request."""

    body: bytes = b'{"inputs":[[1,2]]}'
    method: str = "POST"
    path: str = "/"
    given: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    reads: int = 0

    @property
    def headers(self) -> Headers:
        """Those given, and the id that functions-framework adds."""
        return Headers({"Function-Execution-Id": "r1", **self.given})

    @property
    def content_length(self) -> int | None:
        """As told, else as it is."""
        return len(self.body) if self.length is None else self.length

    def get_data(self) -> bytes:
        """The body; counts how often it is asked for."""
        self.reads += 1
        return self.body


@dataclass(frozen=True)
class Event:
    """A CloudEvent, as the ``cloudevents`` package has it: attributes as items, and data."""

    type: str
    data: Any
    id: str = "e1"

    def __getitem__(self, name: str) -> str:
        return {"type": self.type, "id": self.id, "source": "//test"}[name]


@pytest.fixture
def function(package: MakePackage) -> CloudFunction:  # noqa: F811
    """The doubling model as a function."""
    return start(package(), {})


@pytest.fixture
def google() -> Iterator[Google]:
    """Cloud Storage and a metadata server."""
    with Google() as found:
        yield found


def environ(google: Google, cache: Path | None = None, **more: str) -> dict[str, str]:
    """The variables of a function that finds `google`, and keeps models in `cache`."""
    found = {"STORAGE_EMULATOR_HOST": google.url, "GCE_METADATA_HOST": google.host, **more}
    return found | ({"CLOUDDEPLOY_CACHE_DIR": str(cache)} if cache else {})
