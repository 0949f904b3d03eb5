"""CreateEndpoint, DescribeEndpoint, DeleteEndpoint (Amazon SageMaker API Reference).

A call answers at once; what it began goes on in a thread, and shows in the endpoint's status.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.sagemaker import images
from clouddeploy.emulator.sagemaker.fleet import Fleet, FleetFailed, container_of
from clouddeploy.emulator.sagemaker.records import IN_PROGRESS, Endpoint, Record

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    """CreateEndpoint: ``Creating`` until every container has answered a ping, then ``InService``."""
    name, config_name = call.params["EndpointName"], call.params["EndpointConfigName"]
    with cloud.store.lock:
        config = cloud.store.get(call.region, "endpoint-config", config_name)
        models = models_of(cloud, config)
        record = Endpoint(
            "endpoint",
            call.region,
            name,
            {"EndpointName": name},
            list(call.params.get("Tags") or []),
            config=config,
        )
        record.variants = variants_of(cloud, config, models)
        cloud.store.add(record)
    cloud.spawn(_bring_up, cloud, record, models)
    return {"EndpointArn": record.arn}


def models_of(cloud: Cloud, config: Record) -> dict[str, dict[str, Any]]:
    """The definitions of the models that a config names, as they are now.

    Raises:
        Refused: one of them is gone.
    """
    names = [v["ModelName"] for v in config.request["ProductionVariants"]]
    return {n: cloud.store.get(config.region, "model", n).request for n in names}


def variants_of(cloud: Cloud, config: Record, models: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """ProductionVariantSummary of each variant of a config, as it begins."""
    found = []
    for variant in config.request["ProductionVariants"]:
        image = container_of(models[variant["ModelName"]]).get("Image", "")
        weight = variant.get("InitialVariantWeight", 1.0)
        summary: dict[str, Any] = {
            "VariantName": variant["VariantName"],
            "DeployedImages": [images.described(cloud, config.region, image)],
            "CurrentWeight": weight,
            "DesiredWeight": weight,
        }
        if variant.get("ServerlessConfig"):
            summary["CurrentServerlessConfig"] = variant["ServerlessConfig"]
        else:
            count = variant.get("InitialInstanceCount", 1)
            summary |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
        found.append(summary)
    return found


def raise_fleet(cloud: Cloud, record: Endpoint, config: Record, models: dict[str, dict[str, Any]]) -> Fleet:
    """Start the containers of `config` for `record`; see `Fleets.start`."""
    return cloud.fleets.start(record.region, record.name, config.request["ProductionVariants"], models)


def still(cloud: Cloud, record: Endpoint) -> bool:
    """Whether `record` is still there: not reset, nor deleted."""
    return cloud.store.all(record.region, "endpoint").get(record.name) is record


def enter(cloud: Cloud, record: Endpoint, status: str, *, failure: str = "") -> None:
    """Set an endpoint's status and wake who waits for a change. The store's lock is held."""
    record.status, record.failure, record.modified = status, failure, time.time()
    cloud.store.changed.notify_all()


def _bring_up(cloud: Cloud, record: Endpoint, models: dict[str, dict[str, Any]]) -> None:
    ready_at = time.monotonic() + cloud.settings.creating_s
    fleet, failure = None, ""
    try:
        fleet = raise_fleet(cloud, record, record.config, models)
    except FleetFailed as error:
        failure = str(error)
    cloud.sleep(ready_at - time.monotonic())
    with cloud.store.lock:
        if still(cloud, record):
            record.fleet, fleet = fleet, None
            enter(cloud, record, "Failed" if failure else "InService", failure=failure)
    cloud.fleets.end(fleet)


def describe(cloud: Cloud, call: Call) -> dict[str, Any]:
    """DescribeEndpoint; while something is under way it waits a moment, see `Settings.settle_s`."""
    with cloud.store.lock:
        record = cloud.store.endpoint(call.region, call.params["EndpointName"])
        if record.status in IN_PROGRESS and cloud.settings.settle_s > 0:
            before = record.status
            cloud.store.changed.wait_for(
                lambda: record.status != before or not still(cloud, record), cloud.settings.settle_s
            )
            record = cloud.store.endpoint(call.region, call.params["EndpointName"])
        return _description(record)


def _description(record: Endpoint) -> dict[str, Any]:
    wanted = record.config.request
    found: dict[str, Any] = {
        "EndpointName": record.name,
        "EndpointArn": record.arn,
        "EndpointConfigName": record.config.name,
        "ProductionVariants": [dict(v) for v in record.variants],
        "EndpointStatus": record.status,
        "CreationTime": record.created,
        "LastModifiedTime": record.modified,
    }
    if record.failure:
        found["FailureReason"] = record.failure
    if record.deployment:
        found["LastDeploymentConfig"] = record.deployment
    if wanted.get("AsyncInferenceConfig"):
        found["AsyncInferenceConfig"] = wanted["AsyncInferenceConfig"]
    capture = wanted.get("DataCaptureConfig")
    if capture:
        found["DataCaptureConfig"] = {
            "EnableCapture": capture.get("EnableCapture", True),
            "CaptureStatus": "Started" if capture.get("EnableCapture", True) else "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId", ""),
        }
    if record.pending is not None:
        found["PendingDeploymentSummary"] = {
            "EndpointConfigName": record.pending.name,
            "StartTime": record.modified,
        }
    return found


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    """DeleteEndpoint: refused while it is created, updated or deleted; its scalable targets go with it.

    "Delete a scaling policy" and "Register a model" (Amazon SageMaker Developer Guide): a scalable
    target belongs to a variant of an endpoint.
    """
    with cloud.store.lock:
        record = cloud.store.endpoint(call.region, call.params["EndpointName"])
        refuse_in_progress(record)
        enter(cloud, record, "Deleting")
    cloud.scaling.forget_endpoint(record.region, record.name)
    if cloud.settings.deleting_s > 0:
        cloud.spawn(_take_down, cloud, record, cloud.settings.deleting_s)
    else:
        _take_down(cloud, record, 0)
    return {}


def _take_down(cloud: Cloud, record: Endpoint, seconds: float) -> None:
    cloud.sleep(seconds)
    fleet, record.fleet = record.fleet, None
    if still(cloud, record):
        cloud.store.drop(record)
    cloud.fleets.end(fleet)


def refuse_in_progress(record: Endpoint) -> None:
    """Only one change at a time."""
    if record.status in IN_PROGRESS:
        raise Refused(f'Cannot update in-progress endpoint "{record.arn}".')
