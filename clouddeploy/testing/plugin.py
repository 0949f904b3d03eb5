"""The pytest plugin: the fixture ``cloud``, an embedded cloud for your own tests.

def test_my_model_answers(cloud):
    endpoint = cloud.deployer("sagemaker").deploy(model, "digits")
    assert endpoint.predict(images).shape == (len(images), 10)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from clouddeploy.deployer import Deployer

pytest.register_assert_rewrite("clouddeploy.testing.conformance", "clouddeploy.testing.faultsuite")


@dataclass(frozen=True)
class Cloud:
    """A running embedded cloud, empty at the start of each test."""

    url: str
    region: str = "eu-west-1"

    def deployer(self, target: str = "sagemaker", **options: Any) -> Deployer:
        """A `Deployer` for `target` on this cloud."""
        from clouddeploy.deployer import Deployer

        reach = {
            "region": self.region,
            "endpoint_url": self.url,
            "access_key_id": "test",
            "secret_access_key": "test",
            "poll_s": 0.05,
        }
        return Deployer(target, **{**reach, **options})

    def env(self) -> dict[str, str]:
        """Environment variables that point boto3, awscli and others at it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
        }


@pytest.fixture(scope="session")
def _embedded_cloud() -> Iterator[Any]:
    from clouddeploy.emulator.server import Emulator

    with Emulator() as cloud:
        yield cloud


@pytest.fixture
def cloud(_embedded_cloud: Any) -> Iterator[Cloud]:
    """An embedded cloud with nothing in it, to which the environment of the test points."""
    _embedded_cloud.reset()
    found = Cloud(_embedded_cloud.url)
    before = {name: os.environ.get(name) for name in found.env()}
    os.environ.update(found.env())
    yield found
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
