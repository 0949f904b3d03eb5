"""Every call of Lambda's deploy, update and delete killed, then run again."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from clouddeploy.testing.faultsuite import KillSuite
from clouddeploy.testing.rig import Rig, rigs


@pytest.fixture(autouse=True)
def _within_the_time_for_all_tests() -> None:
    if not os.environ.get("CLOUDDEPLOY_ALL_FAULTS"):
        pytest.skip(
            "each release starts a process of its own, so this takes minutes: CLOUDDEPLOY_ALL_FAULTS=1"
        )


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with rigs()["lambda"]() as rig:
        yield rig


@pytest.mark.timeout(900)
class TestLambda(KillSuite):
    pass
