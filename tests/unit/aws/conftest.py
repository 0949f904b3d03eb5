"""An embedded cloud for the AWS building blocks, and the seam that reaches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from clouddeploy.emulator.server import Emulator
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.survey import Survey

REGION = "eu-west-1"
BUCKET = "clouddeploy-123456789012-eu-west-1"


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def aws(emulator: Emulator) -> Aws:
    """The seam to an empty cloud."""
    emulator.reset()
    return Aws(
        region=REGION,
        endpoint_url=emulator.url,
        access_key_id="test",
        secret_access_key="test",
        retry_delay_s=0,
    )


@pytest.fixture
def survey(aws: Aws) -> Callable[[], Survey]:
    """A new look at the bucket each time it is called."""
    return lambda: Survey(aws, BUCKET, "digits")
