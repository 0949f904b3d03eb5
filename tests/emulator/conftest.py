"""One embedded cloud for all tests of a worker; every test uses names of its own."""

from __future__ import annotations

import io
import itertools
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from clouddeploy.emulator import Emulator, Settings

REGION = "eu-west-1"
IMAGE = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
# One for all: it keeps the service models that it has read, which takes longest.
SESSION = boto3.session.Session()
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
TIMES = """
import json, os
FACTOR = {factor}
def model_fn(model_dir):
    print("loading factor", FACTOR)
    return FACTOR
def input_fn(body, content_type):
    return json.loads(body)["inputs"]
def predict_fn(inputs, model):
    return [x * model for x in inputs]
def output_fn(predictions, accept):
    return json.dumps({{"predictions": predictions}})
"""


def code(text: str, **files: str) -> dict[str, bytes]:
    """The files of a model whose ``code/inference.py`` is `text`."""
    return {"code/inference.py": text.encode(), **{name: data.encode() for name, data in files.items()}}


def archive(files: dict[str, bytes]) -> bytes:
    """Files as a ``model.tar.gz``."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return raw.getvalue()


@dataclass
class Rig:
    """Clients of one embedded cloud, and the few steps that most tests begin with."""

    emulator: Emulator
    names: Iterator[int] = field(default_factory=itertools.count)

    def client(self, service: str, region: str = REGION) -> Any:
        """A boto3 client that retries nothing."""
        connection = self.emulator.connection
        return SESSION.client(
            service,
            region_name=region,
            endpoint_url=connection.url,
            aws_access_key_id=connection.access_key_id,
            aws_secret_access_key=connection.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
        )

    def __post_init__(self) -> None:
        self.sm, self.runtime = self.client("sagemaker"), self.client("sagemaker-runtime")
        self.s3, self.iam, self.logs = self.client("s3"), self.client("iam"), self.client("logs")
        self.scaling, self.watch = self.client("application-autoscaling"), self.client("cloudwatch")
        self.bucket = self.fresh("bucket")
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.role = self.make_role()

    def fresh(self, stem: str = "x") -> str:
        """A name that nothing else has."""
        return f"{stem}-{os.getpid()}-{id(self) % 9973}-{next(self.names)}"

    def make_role(self, trust: Any = TRUST, *, read: str = "*") -> str:
        """A role's ARN; it may read the objects whose ARN `read` matches."""
        name = self.fresh("role")
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": read}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=document)
        return str(arn)

    def put(self, files: dict[str, bytes]) -> str:
        """Upload a model archive; its URL."""
        key = f"{self.fresh('model')}/model.tar.gz"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=archive(files))
        return f"s3://{self.bucket}/{key}"

    def model(self, files: dict[str, bytes] | None = None, *, env: dict[str, str] | None = None) -> str:
        """A model's name."""
        name = self.fresh("model")
        container = {"Image": IMAGE, "ModelDataUrl": self.put(files or code(TIMES.format(factor=2)))}
        self.sm.create_model(
            ModelName=name,
            ExecutionRoleArn=self.role,
            PrimaryContainer={**container, "Environment": env or {}},
        )
        return name

    def config(self, model: str | None = None, **changes: Any) -> str:
        """An endpoint config's name."""
        name = self.fresh("config")
        variant = {
            "VariantName": "main",
            "ModelName": model or self.model(),
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            **changes,
        }
        variant = {k: v for k, v in variant.items() if v is not None}
        self.sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return name

    def endpoint(self, config: str | None = None) -> str:
        """The name of an endpoint that is in service."""
        name = self.fresh("endpoint")
        self.sm.create_endpoint(EndpointName=name, EndpointConfigName=config or self.config())
        assert self.settled(name)["EndpointStatus"] == "InService", self.log(name)
        return name

    def settled(self, endpoint: str) -> dict[str, Any]:
        """The endpoint's description once nothing is under way."""
        while True:
            found: dict[str, Any] = self.sm.describe_endpoint(EndpointName=endpoint)
            if found["EndpointStatus"] in ("InService", "Failed"):
                return found

    def ask(self, endpoint: str, inputs: list[float], **more: Any) -> list[float]:
        """Predictions of a model made from `TIMES`."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=endpoint, Body=json.dumps({"inputs": inputs}), ContentType="application/json", **more
        )
        return list(json.loads(answer["Body"].read())["predictions"])

    def log(self, endpoint: str) -> list[str]:
        """The endpoint's log lines."""
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        return [e["message"] for e in self.logs.filter_log_events(logGroupName=group)["events"]]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Environments that tests make don't end up in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def emulator(cache: None) -> Iterator[Emulator]:
    """The embedded cloud of this worker."""
    with Emulator(Settings(keep_unused_s=30)) as running:
        yield running


@pytest.fixture(scope="session")
def rig(emulator: Emulator) -> Rig:
    """Clients and steps for the worker's cloud."""
    return Rig(emulator)


@pytest.fixture
def settings(emulator: Emulator) -> Iterator[Callable[..., None]]:
    """Change settings for one test."""
    before = emulator.state()["settings"]
    yield emulator.configure
    emulator.configure(**before)


@dataclass(frozen=True)
class Refusal:
    """What a refused call says."""

    code: str
    message: str
    status: int
    body: dict[str, Any]


def refused(call: Callable[..., Any], **arguments: Any) -> Refusal:
    """The refusal that the call ends with; anything else fails the test."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    status = error["ResponseMetadata"]["HTTPStatusCode"]
    return Refusal(error["Error"]["Code"], error["Error"].get("Message", ""), status, dict(error))
