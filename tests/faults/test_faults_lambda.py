"""Every call of Lambda's deploy, update and delete broken in every way."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from clouddeploy.testing.faults import Fault
from clouddeploy.testing.faultsuite import FaultSuite
from clouddeploy.testing.rig import Rig, rigs

QUICK = (Fault.LOST, True)


@pytest.fixture(autouse=True)
def _within_the_time_for_all_tests(request: pytest.FixtureRequest) -> None:
    way = (request.getfixturevalue("fault"), request.getfixturevalue("lasting"))
    quick = way == QUICK and "update" in request.node.name
    if not quick and not os.environ.get("CLOUDDEPLOY_ALL_FAULTS"):
        pytest.skip(
            "each release starts a process of its own, so this takes minutes: CLOUDDEPLOY_ALL_FAULTS=1"
        )


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with rigs()["lambda"]() as rig:
        yield rig


@pytest.mark.timeout(900)
class TestLambda(FaultSuite):
    pass
