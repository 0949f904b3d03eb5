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
    """A running embedded cloud, empty at the start of each test.

    Args:
        url: where it answers for AWS.
        google_url: where it answers for Google Cloud.
        region: the default region.
        access_key_id: any is taken.
        secret_access_key: any is taken.
    """

    url: str
    google_url: str = ""
    region: str = "eu-west-1"
    access_key_id: str = "test"
    secret_access_key: str = "test"

    def deployer(self, target: str = "sagemaker", **options: Any) -> Deployer:
        """A `Deployer` for `target` on this cloud."""
        from clouddeploy import registry
        from clouddeploy.deployer import Deployer

        region = self.region if target in ("sagemaker", "lambda") else None
        reach = dict(registry.kind_of(target).embedded(self, region))
        if reach:
            reach["poll_s"] = 0.05
        return Deployer(target, **{**reach, **options})

    def env(self) -> dict[str, str]:
        """Environment variables that point boto3, awscli, Google's clients and others at it."""
        from clouddeploy.emulator.connection import Connection

        connection = Connection(
            self.url,
            google_url=self.google_url,
            region=self.region,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
        )
        return connection.env()


@pytest.fixture(scope="session")
def _embedded_cloud() -> Iterator[Any]:
    from clouddeploy.emulator.server import Emulator

    with Emulator() as cloud:
        yield cloud


@pytest.fixture
def cloud(_embedded_cloud: Any) -> Iterator[Cloud]:
    """An embedded cloud with nothing in it, to which the environment of the test points."""
    _embedded_cloud.reset()
    found = Cloud(_embedded_cloud.url, _embedded_cloud.google_url)
    before = {name: os.environ.get(name) for name in found.env()}
    os.environ.update(found.env())
    yield found
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
