"""Every AWS call and every registry request of image deploys broken in every way, on the embedded cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clouddeploy.testing.faultsuite import FaultSuite
from clouddeploy.testing.image_rig import lambda_images
from clouddeploy.testing.rig import Rig


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with lambda_images() as rig:
        yield rig


@pytest.mark.timeout(3600)
class TestLambdaImages(FaultSuite):
    pass
