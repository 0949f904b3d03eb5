"""Every AWS call and every registry request of image deploys broken in every way, on the embedded cloud."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from clouddeploy.testing.faultsuite import FaultSuite
from clouddeploy.testing.image_rig import lambda_images
from clouddeploy.testing.rig import Rig


@pytest.fixture(autouse=True)
def _within_the_time_for_all_tests() -> None:
    if not os.environ.get("CLOUDDEPLOY_ALL_FAULTS"):
        pytest.skip("tests/unit/aws_lambda_images breaks the calls about images: CLOUDDEPLOY_ALL_FAULTS=1")


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with lambda_images() as rig:
        yield rig


@pytest.mark.timeout(3600)
class TestLambdaImages(FaultSuite):
    pass
