"""The image that Cloud Run runs, and its base as it was first found."""

from __future__ import annotations

from pathlib import Path

import pytest

from clouddeploy.packaging.images import Base, Registry
from clouddeploy.packaging.images.base_lock import locked_base
from tests.unit.cloud_run.conftest import Bench


def base(bench: Bench) -> Base:
    return Base.resolve("python:3.13-slim", architecture="x86_64", registry=Registry(bench.host()))


def test_equal_images_of_two_deployments_are_unpacked_once(bench: Bench) -> None:
    uris = [bench.push(repository, name, text) for repository, name, text in (
        ("first", "a", "the same"), ("second", "b", "the same"), ("third", "c", "another"))]  # fmt: skip
    found = [bench.cloud.images.find(uri) for uri in uris]
    roots = [image.root for image in found if image is not None]
    assert roots[0] == roots[1] != roots[2]
    assert (roots[2] / "app" / "main.py").read_text() == "another"


def test_a_base_stays_what_it_was_first_found_to_be(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(bench.host())
    first = locked_base("python:3.13-slim", architecture="x86_64", registry=registry)
    assert first == base(bench)
    assert bench.cloud.registry is not None
    bench.cloud.registry.clear()
    assert locked_base("python:3.13-slim", architecture="x86_64", registry=registry) == first
    assert locked_base("python:3.13-slim", architecture="x86_64", registry=registry).layers == first.layers
    monkeypatch.setenv("CLOUDDEPLOY_RELOCK", "1")
    with pytest.raises(Exception, match="python"):
        locked_base("python:3.13-slim", architecture="x86_64", registry=registry)


def test_a_lock_that_is_damaged_is_made_anew(bench: Bench, tmp_path: Path) -> None:
    registry = Registry(bench.host())
    first = locked_base("python:3.13-slim", architecture="x86_64", registry=registry)
    for path in (tmp_path / "cache" / "bases").iterdir():
        path.write_text("{")
    assert locked_base("python:3.13-slim", architecture="x86_64", registry=registry) == first
