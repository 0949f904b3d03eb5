"""Registries on loopback: ours in memory, and Debian's where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clouddeploy.packaging.images import Registry
from clouddeploy.testing.registry import FakeRegistry
from tests.unit.images.making import docker_registry, missing, put_index, reach


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    """Our registry, with the base image lambda/python:3.13 in it."""
    with FakeRegistry() as registry:
        put_index(reach(registry.host), "lambda/python", "3.13")
        registry.seen.clear()
        yield registry


@pytest.fixture(params=["fake", "docker-registry"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """A client of each registry in turn, with the base image lambda/python:3.13 in it."""
    if request.param == "fake":
        yield reach(request.getfixturevalue("fake").host)
        return
    if reason := missing("docker-registry"):
        pytest.skip(reason)
    folder = tmp_path / "docker-registry"
    folder.mkdir()
    with docker_registry(folder) as host:
        client = reach(host)
        put_index(client, "lambda/python", "3.13")
        yield client
    shutil.rmtree(folder)
