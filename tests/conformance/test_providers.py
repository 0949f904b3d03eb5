"""The conformance suite over every provider that is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clouddeploy import registry
from clouddeploy.testing.conformance import ConformanceSuite
from clouddeploy.testing.rig import Rig, rigs


@pytest.fixture(scope="module", params=sorted(rigs()))
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rigs()[request.param]() as rig:
        yield rig


class TestEveryProvider(ConformanceSuite):
    pass


def test_every_installed_target_has_a_rig() -> None:
    assert set(registry.targets()) == set(rigs())
