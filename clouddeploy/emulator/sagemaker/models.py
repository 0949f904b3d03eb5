"""CreateModel, DescribeModel, DeleteModel (Amazon SageMaker API Reference)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends.roles import Role
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.plane.artifact import Source, split_url
from clouddeploy.emulator.sagemaker import images
from clouddeploy.emulator.sagemaker.records import Record
from clouddeploy.emulator.sagemaker.roles import CANNOT_READ, may_read

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    """CreateModel: containers, role and model data are looked at before the model is kept."""
    wish = dict(call.params)
    tags = wish.pop("Tags", None) or []
    containers = wish.get("Containers") or []
    if wish.get("PrimaryContainer"):
        if containers:
            raise Refused("Both PrimaryContainer and Containers are specified. Only one of them is allowed.")
        containers = [wish["PrimaryContainer"]]
    if not containers:
        raise Refused("Either PrimaryContainer or Containers must be specified.")
    with cloud.store.lock:
        if wish["ModelName"] not in cloud.store.all(call.region, "model"):
            role = cloud.roles.assume(_role_arn(wish), cloud.settings)
            for container in containers:
                _check_container(cloud, call.region, container, role, wish["ExecutionRoleArn"])
        record = Record("model", call.region, wish["ModelName"], wish, list(tags))
        cloud.store.add(record)
    return {"ModelArn": record.arn}


def _role_arn(wish: dict[str, Any]) -> str:
    arn = wish.get("ExecutionRoleArn")
    if not arn:
        raise Refused("1 validation error detected: Value null at 'executionRoleArn' failed to satisfy "
                      "constraint: Member must not be null")  # fmt: skip
    return str(arn)


def _check_container(cloud: Cloud, region: str, container: dict[str, Any], role: Role, arn: str) -> None:
    if not container.get("Image") and not container.get("ModelPackageName"):
        raise Refused("Either Image or ModelPackageName must be specified for a container.")
    if container.get("ModelDataUrl") and container.get("ModelDataSource"):
        raise Refused("Both ModelDataUrl and ModelDataSource are specified. Only one of them is allowed.")
    if container.get("Image"):
        images.find(cloud, region, container["Image"])
    source = Source.of(container)
    if source is None:
        return
    objects = source.objects(cloud.s3)
    if not objects:
        raise Refused(f"Could not find model data at {source.url}.")
    bucket, _ = split_url(source.url)
    if not may_read(role, bucket, objects[0][0]):
        raise Refused(CANNOT_READ.format(url=source.url, arn=arn, region=region))


def describe(cloud: Cloud, call: Call) -> dict[str, Any]:
    """DescribeModel: what was asked for, nothing added, no empty member."""
    record = cloud.store.get(call.region, "model", call.params["ModelName"])
    return {
        "EnableNetworkIsolation": False,
        **{k: v for k, v in record.request.items() if v not in ({}, [], None)},
        "ModelArn": record.arn,
        "CreationTime": record.created,
    }


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    """DeleteModel: endpoints that were made from it go on serving."""
    cloud.store.drop(cloud.store.get(call.region, "model", call.params["ModelName"]))
    return {}
