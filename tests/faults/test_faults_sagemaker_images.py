"""Every AWS call and registry request of SageMaker deploys with images broken in every way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clouddeploy.testing.faultsuite import FaultSuite
from clouddeploy.testing.image_rig import sagemaker_images
from clouddeploy.testing.rig import Rig


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with sagemaker_images() as rig:
        yield rig


@pytest.mark.timeout(3600)
class TestSageMakerImages(FaultSuite):
    pass
