"""SageMaker endpoints whose containers are images of the embedded registry."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from clouddeploy.emulator import Emulator
from clouddeploy.packaging import Member
from clouddeploy.packaging.images import Base, Reference, Registry, Retries, ecr_credentials
from clouddeploy.packaging.images.image import ImageArtifact
from clouddeploy.packaging.images.layer import Layer
from tests.emulator.conftest import REGION, Rig, archive, refused

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
MACHINE = {"arm64": "ml.c7g.large", "x86_64": "ml.m5.large"}[ARCHITECTURE]
OTHER = {"arm64": "ml.m5.large", "x86_64": "ml.c7g.large"}[ARCHITECTURE]
SERVE = """#!/usr/bin/env python
import http.server, json, os, sys
print("started with", sys.argv[1:], flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        weights = os.path.join(os.environ["SM_MODEL_DIR"], "weights")
        told = {
            "pid": os.getpid(),
            "env": {name: os.environ.get(name) for name in asked["names"]},
            "weights": open(weights).read() if os.path.exists(weights) else None,
        }
        self.answer(json.dumps(told).encode())
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
""".replace("PORT", 'int(os.environ["SAGEMAKER_BIND_TO_PORT"])')
PULLING = ["BatchGetImage", "GetDownloadUrlForLayer", "BatchCheckLayerAvailability", "GetAuthorizationToken"]


@dataclass
class Images:
    """A client of the registry, and endpoints of what was pushed to it."""

    rig: Rig

    def __post_init__(self) -> None:
        self.ecr = self.rig.client("ecr")
        self.host = self.rig.emulator.url.partition("://")[2]
        credentials = ecr_credentials(self.call, hosts=(self.host,))
        self.registry = Registry(self.host, credentials=credentials, retries=Retries(attempts=2))
        name = self.rig.role.rpartition("/")[2]
        actions = [f"ecr:{action}" for action in PULLING]
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.rig.iam.put_role_policy(RoleName=name, PolicyName="pull", PolicyDocument=document)

    def call(self, service: str, operation: str, /, **params: Any) -> Any:
        """One AWS call, as our libraries make it."""
        assert (service, operation, params) == ("ecr", "GetAuthorizationToken", {})
        return self.ecr.get_authorization_token()

    def repository(self) -> tuple[str, str]:
        """A new repository: its name in ECR, and in the registry."""
        name = self.rig.fresh("team/served")
        uri = self.ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]
        return name, Reference.parse(uri).repository

    def image(self, files: dict[str, str] | None = None, **options: Any) -> ImageArtifact:
        """An image on the stand-in base whose program is ``serve``."""
        base = Base.resolve(
            f"{self.host}/python:{PYTHON}-slim", architecture=options.pop("architecture", ARCHITECTURE)
        )
        found = {"program/serve": SERVE} if files is None else files
        members = [replace(Member.of_bytes(k, v.encode()), mode=0o755) for k, v in found.items()]
        chosen = {
            "env": {"PATH": "/opt/program:/usr/local/bin:/usr/bin:/bin", "OF_IMAGE": "1"},
            "entrypoint": (),
            "workdir": "/opt/program",
            "family": "docker",
            **options,
        }
        return ImageArtifact(base, (Layer.of(members, root="/opt", what="files"),), **chosen)

    def push(self, image: ImageArtifact | None = None) -> str:
        """Push to a repository of its own; what to deploy."""
        return (image or self.image()).push(self.registry, self.repository()[1], "v1").reference

    def model(self, uri: str, **container: Any) -> str:
        """A model's name."""
        name = self.rig.fresh("model")
        self.rig.sm.create_model(
            ModelName=name, ExecutionRoleArn=self.rig.role, PrimaryContainer={"Image": uri, **container}
        )
        return name

    def start(self, uri: str, *, machine: str = MACHINE, **container: Any) -> tuple[str, dict[str, Any]]:
        """An endpoint's name and description once nothing is under way."""
        config = self.rig.config(self.model(uri, **container), InstanceType=machine)
        name = self.rig.fresh("endpoint")
        self.rig.sm.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return name, self.rig.settled(name)

    def ask(self, endpoint: str, *names: str) -> dict[str, Any]:
        """What the container tells of itself."""
        body = json.dumps({"names": names})
        answer = self.rig.runtime.invoke_endpoint(
            EndpointName=endpoint, Body=body, ContentType="application/json"
        )
        told: dict[str, Any] = json.loads(answer["Body"].read())
        return told


@pytest.fixture(scope="module")
def images(rig: Rig, emulator: Emulator) -> Images:
    """SageMaker and ECR in the worker's cloud."""
    return Images(rig)


def test_an_images_own_program_answers_and_its_output_is_the_endpoints_log(images: Images) -> None:
    name, told = images.start(images.push(), Environment={"OF_MODEL": "2"})
    assert told["EndpointStatus"] == "InService", images.rig.log(name)
    answer = images.ask(name, "OF_IMAGE", "OF_MODEL", "AWS_REGION", "USER")
    assert answer["env"] == {"OF_IMAGE": "1", "OF_MODEL": "2", "AWS_REGION": REGION, "USER": None}
    log = images.rig.log(name)
    assert "started with []" in log
    assert any("stand-in" in line and f"Python {PYTHON}" in line for line in log)


def test_a_tag_is_told_with_the_digest_that_it_stood_for(images: Images) -> None:
    _, repository = images.repository()
    pushed = images.image().push(images.registry, repository, "live").reference
    _, told = images.start(f"{images.host}/{repository}:live")
    (deployed,) = told["ProductionVariants"][0]["DeployedImages"]
    assert deployed["SpecifiedImage"] == f"{images.host}/{repository}:live"
    assert deployed["ResolvedImage"] == pushed


def test_aws_own_name_of_the_registry_means_the_same_image(images: Images) -> None:
    name, repository = images.repository()
    images.image().push(images.registry, repository, "v1")
    _, told = images.start(f"123456789012.dkr.ecr.{REGION}.amazonaws.com/{name}:v1")
    assert told["EndpointStatus"] == "InService"


def test_model_data_lies_where_the_variable_tells(images: Images) -> None:
    key = f"{images.rig.fresh('data')}/model.tar.gz"
    images.rig.s3.put_object(Bucket=images.rig.bucket, Key=key, Body=archive({"weights": b"7"}))
    name, told = images.start(images.push(), ModelDataUrl=f"s3://{images.rig.bucket}/{key}")
    assert told["EndpointStatus"] == "InService", images.rig.log(name)
    assert images.ask(name)["weights"] == "7"


def test_a_model_in_the_image_is_served_without_model_data(images: Images) -> None:
    files = {"program/serve": SERVE, "ml/model/weights": "in the image"}
    name, _ = images.start(images.push(images.image(files)))
    assert images.ask(name)["weights"] == "in the image"


def test_a_script_that_names_the_images_own_python_is_run_by_this_machines(images: Images) -> None:
    script = SERVE.replace("/usr/bin/env python", f"/usr/local/bin/python{PYTHON}")
    entry = images.image({"srv/go": script}, entrypoint=("/opt/srv/go",))
    name, told = images.start(images.push(entry))
    assert told["EndpointStatus"] == "InService", images.rig.log(name)
    assert "started with ['serve']" in images.rig.log(name)


def test_a_package_that_the_image_lacks_fails_its_start(images: Images) -> None:
    lacking = images.image({"program/serve": "#!/usr/bin/env python\nimport numpy\n"})
    name, told = images.start(images.push(lacking))
    assert told["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in told["FailureReason"]
    assert any("No module named 'numpy'" in line for line in images.rig.log(name))


def test_packages_for_another_python_are_replaced_by_this_machines_and_the_log_tells(images: Images) -> None:
    packed = {"python": "3.99", "architecture": ARCHITECTURE, "entries": ["numpy"]}
    files = {
        "program/serve": SERVE.replace("import http.server", "import numpy, http.server"),
        "program/numpy/__init__.py": "raise ImportError('for another Python')\n",
        "program/requirements.lock": "numpy==1.0\n",
        "program/clouddeploy-packages.json": json.dumps(packed),
    }
    name, told = images.start(images.push(images.image(files)))
    log = images.rig.log(name)
    assert told["EndpointStatus"] == "InService", log
    assert any("THIS IS NOT Python 3.99" in line for line in log)
    assert any("other versions: numpy" in line and "(not 1.0)" in line for line in log)


def test_a_program_that_is_not_there_is_refused_in_dockers_words(images: Images) -> None:
    name, told = images.start(images.push(images.image(entrypoint=("/usr/sbin/tritonserver",))))
    assert told["EndpointStatus"] == "Failed"
    log = images.rig.log(name)
    assert 'exec: "/usr/sbin/tritonserver": executable file not found in $PATH' in log
    assert any("only what lies in the image's own layers" in line for line in log)


def test_a_container_that_does_not_listen_is_told_where_it_should(
    images: Images, settings: Callable[..., None]
) -> None:
    settings(startup_timeout_s=0.5)
    deaf = images.image({"program/serve": "#!/usr/bin/env python\nimport time\ntime.sleep(60)\n"})
    name, told = images.start(images.push(deaf))
    assert told["EndpointStatus"] == "Failed"
    assert any("must listen on the port that SAGEMAKER_BIND_TO_PORT tells" in x for x in images.rig.log(name))


def test_an_image_for_other_machines_ends_as_on_them(images: Images) -> None:
    name, told = images.start(images.push(), machine=OTHER)
    assert told["EndpointStatus"] == "Failed"
    assert any("exec format error" in line for line in images.rig.log(name))


def test_an_image_that_is_not_there_is_refused_when_the_model_is_made(images: Images) -> None:
    _, repository = images.repository()
    uri = f"{images.host}/{repository}:none"
    refusal = refused(
        images.rig.sm.create_model,
        ModelName=images.rig.fresh("model"),
        ExecutionRoleArn=images.rig.role,
        PrimaryContainer={"Image": uri},
    )
    assert refusal.message == f"Requested image {uri} not found."


def test_oci_manifests_are_refused_as_by_sagemaker(images: Images) -> None:
    uri = images.push(images.image(family="oci"))
    refusal = refused(
        images.rig.sm.create_model,
        ModelName=images.rig.fresh("model"),
        ExecutionRoleArn=images.rig.role,
        PrimaryContainer={"Image": uri},
    )
    assert refusal.message.startswith(
        "Unsupported manifest media type application/vnd.oci.image.manifest.v1+json for image"
    )


def test_a_role_that_may_not_fetch_the_image_fails_the_endpoint(images: Images) -> None:
    uri, role = images.push(), images.rig.make_role()
    name = images.rig.fresh("model")
    images.rig.sm.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": uri})
    endpoint = images.rig.fresh("endpoint")
    config = images.rig.config(name, InstanceType=MACHINE)
    images.rig.sm.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    told = images.rig.settled(endpoint)
    assert told["EndpointStatus"] == "Failed"
    assert "execution role used to create the model has permissions" in told["FailureReason"]


def test_an_endpoint_serves_on_when_its_image_is_deleted_and_a_new_one_fails(images: Images) -> None:
    name, repository = images.repository()
    uri = images.image().push(images.registry, repository, "v1").reference
    config = images.rig.config(images.model(uri), InstanceType=MACHINE)
    endpoint = images.rig.endpoint(config)
    images.ecr.batch_delete_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])
    assert images.ask(endpoint)["pid"]
    second = images.rig.fresh("endpoint")
    images.rig.sm.create_endpoint(EndpointName=second, EndpointConfigName=config)
    assert "all images included in the model" in images.rig.settled(second)["FailureReason"]


def test_the_process_is_ended_with_the_last_endpoint(images: Images) -> None:
    name, _ = images.start(images.push(images.image(env={"PATH": "/opt/program", "ONE": "only"})))
    pid = images.ask(name)["pid"]
    (process,) = [p for p in images.rig.emulator.state()["processes"] if f"{REGION}/{name}" in p["endpoints"]]
    assert os.getpgid(pid) == process["pid"]
