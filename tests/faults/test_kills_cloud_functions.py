"""SIGKILL at every call of Cloud Functions' deploy, update and delete, then a second run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clouddeploy.testing.faultsuite import KillSuite
from clouddeploy.testing.rig import Rig, rigs


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with rigs()["cloud-functions"]() as rig:
        yield rig


@pytest.mark.timeout(900)
class TestCloudFunctions(KillSuite):
    pass
