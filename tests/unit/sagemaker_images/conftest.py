"""SageMaker with images on an embedded cloud of the tests' own; each call and each request is kept."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.emulator.server import Emulator
from clouddeploy.emulator.settings import Settings
from clouddeploy.model import Model
from clouddeploy.packaging import Member
from clouddeploy.packaging.images import Base
from clouddeploy.packaging.images.http import urllib_wire
from clouddeploy.packaging.images.image import ImageArtifact
from clouddeploy.packaging.images.layer import Layer
from clouddeploy.packaging.images.reference import Reference
from clouddeploy.providers.aws.client import BotoTransport
from clouddeploy.providers.aws.image import ImagePackage, Packed
from clouddeploy.providers.aws.images import Reach
from clouddeploy.providers.sagemaker import SageMaker
from clouddeploy.providers.sagemaker.options import Options
from clouddeploy.spec import Architecture, Compute
from clouddeploy.testing.faults import Transport
from clouddeploy.testing.inventory import aws_inventory
from clouddeploy.testing.models import linear_model
from clouddeploy.testing.wire import SERVICE, transport_of, wire_through

REGION = "eu-west-1"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MACHINE = "ml.c7g.large" if platform.machine() in ("aarch64", "arm64") else "ml.m5.large"
READS = ("Get", "Head", "List", "Describe", "Filter", "Invoke", "GET", "HEAD")
WISH: dict[str, Any] = {"compute": Compute(instance=MACHINE)}
SERVE = b"""
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        here = os.path.dirname(os.path.abspath(__file__))
        weights = open(os.path.join(here, "../ml/model/weights")).read()
        variables = {k: v for k, v in os.environ.items() if k.startswith("CLOUDDEPLOY_SERVE")}
        self.answer(json.dumps({"weights": weights, "variables": variables}).encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
Call = tuple[str, str]


def packed(model: Model, *, architecture: Architecture, options: Options, reach: Reach) -> ImagePackage:
    """An image of few bytes: a program that stays, and a model that tells which one it is."""
    name = options.base_image or f"python:{PYTHON}-slim"
    host = options.base_registry or Reference.parse(name).host
    base = Base.resolve(name, architecture=architecture, registry=reach.registry(host))
    layers = tuple(
        Layer.of([Member.of_bytes(file, content)], root=f"/opt/{root}", what=root)
        for root, file, content in (
            ("program", "serve.py", SERVE),
            ("ml/model", "weights", model.digest.encode()),
        )
    )
    entry = ("python", "/opt/program/serve.py")
    return Packed(ImageArtifact(base, layers, entrypoint=entry, cmd=("serve",), family="docker"), ())


@dataclass
class Bench:
    """An empty cloud, and deployers to it whose calls are kept, AWS's and the registry's in one row."""

    url: str
    boto: BotoTransport
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
            return (registry if service == SERVICE else self.boto)(service, operation, params)

        transport = wrap(both) if wrap else both
        chosen = {
            "package": "image",
            "base_registry": self.host,
            "image_packager": packed,
            "wire": wire_through(transport),
            **options,
        }
        deployer = Deployer("memory")
        deployer.target = "sagemaker"
        deployer.provider = SageMaker(region=REGION, transport=transport, poll_s=0.0, **chosen)
        return deployer

    def deploy(self, model: Model, name: str = "digits", *, wish: Any = None, **options: Any) -> None:
        """Deploy as a new deployer."""
        self.deployer(**options).deploy(model, name, **{**WISH, **(wish or {})})

    def aws(self, service: str, operation: str, **params: Any) -> Any:
        """One call as somebody else."""
        return self.boto(service, operation, params)

    def inventory(self) -> dict[str, str]:
        """All that is in the cloud."""
        return {k: v for k, v in aws_inventory(self.url, REGION).items() if "TargetTracking" not in k}

    def images(self) -> list[str]:
        """The images that there are."""
        return sorted(k for k in self.inventory() if k.startswith("image/"))

    def container(self, name: str = "digits") -> dict[str, Any]:
        """The definition of the container that serves."""
        config = self.aws("sagemaker", "DescribeEndpoint", EndpointName=name)["EndpointConfigName"]
        variant = self.aws("sagemaker", "DescribeEndpointConfig", EndpointConfigName=config)
        model = variant["ProductionVariants"][0]["ModelName"]
        found: dict[str, Any] = self.aws("sagemaker", "DescribeModel", ModelName=model)["PrimaryContainer"]
        return found

    def ask(self, name: str = "digits") -> dict[str, Any]:
        """What the container tells of itself."""
        params = {"EndpointName": name, "Body": b"{}", "ContentType": "application/json"}
        told: dict[str, Any] = json.loads(
            self.aws("sagemaker-runtime", "InvokeEndpoint", **params)["Body"].read()
        )
        return told

    def changing(self) -> list[Call]:
        """The recorded calls that change something."""
        return [call for call in self.calls if not call[1].startswith(READS)]

    def sent(self) -> list[str]:
        """The requests that sent bytes to the registry."""
        return [operation for service, operation in self.calls if service == SERVICE and "PUT" in operation]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(replace(Settings(), keep_unused_s=30)) as running:
        yield running


@pytest.fixture
def bench(emulator: Emulator) -> Bench:
    emulator.reset()
    boto = BotoTransport(
        region=REGION, endpoint_url=emulator.url, access_key_id="test", secret_access_key="test"
    )
    return Bench(emulator.url, boto)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return linear_model(tmp_path, 1.0)


@pytest.fixture
def newer(tmp_path: Path) -> Model:
    return linear_model(tmp_path, 2.0)
