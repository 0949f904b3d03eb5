"""Lambda's API in memory, ECR and a registry of an embedded cloud; each call and each request is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.emulator.server import Emulator
from clouddeploy.model import Model
from clouddeploy.packaging import Member
from clouddeploy.packaging.images import Base, lambda_base, lambda_image
from clouddeploy.packaging.images.http import urllib_wire
from clouddeploy.packaging.images.reference import Reference
from clouddeploy.providers.aws.client import BotoTransport
from clouddeploy.providers.aws.image import ImagePackage, Packed
from clouddeploy.providers.aws.images import Reach
from clouddeploy.providers.aws_lambda import Lambda
from clouddeploy.providers.aws_lambda.options import Options
from clouddeploy.spec import Compute
from clouddeploy.testing.faults import Transport
from clouddeploy.testing.inventory import aws_inventory
from clouddeploy.testing.models import linear_model
from clouddeploy.testing.wire import SERVICE, transport_of, wire_through
from tests.unit.aws_lambda.fake_lambda import REGION, FakeLambda

READS = ("Get", "Head", "List", "Describe", "Filter", "Invoke", "GET", "HEAD")
WISH: dict[str, Any] = {"compute": Compute(memory_mb=512, architecture="arm64", timeout_s=20)}
Call = tuple[str, str]


def packed(model: Model, *, python: str, architecture: str, options: Options, reach: Reach) -> ImagePackage:
    """An image of few bytes: requirements that stay, and a model that tells which one it is."""
    name = options.base_image or lambda_base(python)
    host = options.base_registry or Reference.parse(name).host
    base = Base.resolve(name, architecture=architecture, registry=reach.registry(host))
    files = {
        "numpy/__init__.py": b"zeros = None\n" * 100,
        "model/weights": model.digest.encode(),
        "lambda_handler.py": b"def handler(event, context): ...\n",
    }
    return Packed(lambda_image(base, [Member.of_bytes(k, v) for k, v in files.items()]), ())


@dataclass
class Bench:
    """An empty cloud, and deployers to it whose calls are kept, AWS's and the registry's in one row."""

    url: str
    cloud: FakeLambda
    calls: list[Call] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The registry's."""
        return self.url.partition("://")[2]

    def deployer(self, wrap: Callable[[Transport], Transport] | None = None, **options: Any) -> Deployer:
        """A deployer that remembers nothing of others."""
        self.calls.clear()
        registry = transport_of(urllib_wire())

        def both(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            self.calls.append((service, operation))
            return (registry if service == SERVICE else self.cloud)(service, operation, params)

        transport = wrap(both) if wrap else both
        chosen = {
            "package": "image",
            "base_registry": self.host,
            "image_packager": packed,
            "wire": wire_through(transport),
            **options,
        }
        deployer = Deployer("memory")
        deployer.target = "lambda"
        deployer.provider = Lambda(region=REGION, transport=transport, poll_s=0.0, **chosen)
        return deployer

    def deploy(self, model: Model, name: str = "digits", **options: Any) -> None:
        """Deploy as a new deployer."""
        self.deployer(**options).deploy(model, name, **WISH)

    def inventory(self) -> dict[str, str]:
        """All that is in the cloud."""
        rest = {k: v for k, v in aws_inventory(self.url, REGION).items() if "TargetTracking" not in k}
        return {**rest, **self.cloud.inventory()}

    def images(self) -> list[str]:
        """The images that there are."""
        return sorted(k for k in self.inventory() if k.startswith("image/"))

    def runs(self, name: str = "digits") -> str:
        """The image that the function is made of."""
        return str(self.cloud("lambda", "GetFunction", {"FunctionName": name})["Code"]["ImageUri"])

    def changing(self) -> list[Call]:
        """The recorded calls that change something."""
        return [call for call in self.calls if not call[1].startswith(READS)]

    def sent(self) -> list[str]:
        """The requests that sent bytes to the registry."""
        return [operation for service, operation in self.calls if service == SERVICE and "PUT" in operation]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def bench(emulator: Emulator) -> Bench:
    emulator.reset()
    boto = BotoTransport(
        region=REGION, endpoint_url=emulator.url, access_key_id="test", secret_access_key="test"
    )
    return Bench(emulator.url, FakeLambda(boto))


@pytest.fixture
def ecr(bench: Bench) -> Callable[..., Any]:
    """Calls ECR as somebody else."""
    return lambda operation, **params: bench.cloud("ecr", operation, params)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return linear_model(tmp_path, 1.0)


@pytest.fixture
def newer(tmp_path: Path) -> Model:
    return linear_model(tmp_path, 2.0)
