"""Every call of the local target's deploy, update and delete broken in every way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clouddeploy.testing.faultsuite import FaultSuite
from clouddeploy.testing.rig import Rig, rigs


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with rigs()["local"]() as rig:
        yield rig


class TestLocal(FaultSuite):
    pass
