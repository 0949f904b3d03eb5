"""The conformance suite over SageMaker with images, which the entry points show once only."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from clouddeploy.testing.conformance import ConformanceSuite
from clouddeploy.testing.image_rig import sagemaker_images
from clouddeploy.testing.rig import Rig

pytestmark = pytest.mark.skipif(
    not os.environ.get("CLOUDDEPLOY_ALL_FAULTS"),
    reason="SageMaker a second time, with images; make faults (CLOUDDEPLOY_ALL_FAULTS=1) runs it",
)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with sagemaker_images() as rig:
        yield rig


class TestSageMakerImages(ConformanceSuite):
    pass
