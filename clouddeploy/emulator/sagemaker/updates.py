"""UpdateEndpoint and UpdateEndpointWeightsAndCapacities (Amazon SageMaker API Reference).

The new fleet is started beside the old one and takes the traffic only when it has passed; when it
fails, or an alarm of the deployment goes off, the old one stays ("Auto-Rollback Configuration and
Monitoring", Amazon SageMaker Developer Guide).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.autoscaling.records import Key
from clouddeploy.emulator.backends import alarms
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.sagemaker.endpoints import (
    enter,
    models_of,
    raise_fleet,
    refuse_in_progress,
    still,
    variants_of,
)
from clouddeploy.emulator.sagemaker.fleet import FleetFailed
from clouddeploy.emulator.sagemaker.records import Endpoint, Record

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

INSTANCES = "sagemaker:variant:DesiredInstanceCount"
RETAINED = {
    "DesiredInstanceCount": ("DesiredInstanceCount", "CurrentInstanceCount"),
    "DesiredWeight": ("DesiredWeight", "CurrentWeight"),
}


def update(cloud: Cloud, call: Call) -> dict[str, Any]:
    """UpdateEndpoint: ``Updating``, then ``InService`` with the new config, or back to the old one."""
    wish = call.params
    with cloud.store.lock:
        record = cloud.store.endpoint(call.region, wish["EndpointName"])
        refuse_in_progress(record)
        if record.status == "Failed":
            raise Refused(
                f'Cannot update endpoint "{record.arn}" with status Failed: DeleteEndpoint is the only '
                "operation that can be performed on a failed endpoint."
            )
        config = cloud.store.get(call.region, "endpoint-config", wish["EndpointConfigName"])
        models = models_of(cloud, config)
        _refuse_scaled_instance_change(cloud, record, config)
        variants = variants_of(cloud, config, models)
        if wish.get("RetainAllVariantProperties"):
            _retain(record, variants, wish.get("ExcludeRetainedVariantProperties") or [])
        record.pending, record.deployment = config, wish.get("DeploymentConfig")
        enter(cloud, record, "Updating")
    cloud.spawn(_replace, cloud, record, config, models, variants)
    return {"EndpointArn": record.arn}


def _refuse_scaled_instance_change(cloud: Cloud, record: Endpoint, config: Record) -> None:
    """ "Update endpoints that use automatic scaling" (Amazon SageMaker Developer Guide)."""
    then = {v["VariantName"]: v for v in config.request["ProductionVariants"]}
    for variant in record.config.request["ProductionVariants"]:
        name = variant["VariantName"]
        resource = f"endpoint/{record.name}/variant/{name}"
        if cloud.scaling.find(Key(record.region, resource, INSTANCES, "sagemaker")) is None:
            continue
        if then.get(name, {}).get("InstanceType") != variant.get("InstanceType"):
            raise Refused(
                f'The variant(s) "{name}" must be deregistered as scalable target(s) with AWS Auto Scaling '
                "before they can be removed or have their instance type updated."
            )


def _retain(record: Endpoint, variants: list[dict[str, Any]], excluded: list[dict[str, str]]) -> None:
    """RetainAllVariantProperties: keep what was changed since the endpoint was made."""
    changed = {e["VariantPropertyType"] for e in excluded}
    now = {v["VariantName"]: v for v in record.variants}
    for variant in variants:
        old = now.get(variant["VariantName"], {})
        for kind, keys in RETAINED.items():
            if kind not in changed:
                variant.update({k: old[k] for k in keys if k in old and k in variant})


def _replace(
    cloud: Cloud,
    record: Endpoint,
    config: Record,
    models: dict[str, dict[str, Any]],
    variants: list[dict[str, Any]],
) -> None:
    ready_at = time.monotonic() + cloud.settings.updating_s
    fleet, failure = None, ""
    try:
        fleet = raise_fleet(cloud, record, config, models)
    except FleetFailed as error:
        failure = str(error)
    cloud.sleep(ready_at - time.monotonic())
    failure = failure or _alarm(record)
    if failure:
        cloud.fleets.end(fleet)
        _roll_back(cloud, record, failure)
        return
    with cloud.store.lock:
        if still(cloud, record):
            record.fleet, fleet = fleet, record.fleet
            record.config, record.variants, record.pending = config, variants, None
            enter(cloud, record, "InService")
    cloud.fleets.end(fleet, drain=True)


def _alarm(record: Endpoint) -> str:
    """Why the deployment's alarms want it rolled back, or nothing."""
    watched = (record.deployment or {}).get("AutoRollbackConfiguration", {}).get("Alarms", [])
    for name in (a["AlarmName"] for a in watched):
        if alarms.state(record.region, name) == "ALARM":
            return f"One or more alarms were triggered during the deployment: {name}."
    return ""


def _roll_back(cloud: Cloud, record: Endpoint, failure: str) -> None:
    with cloud.store.lock:
        enter(cloud, record, "RollingBack", failure=failure)
    cloud.sleep(cloud.settings.rolling_back_s)
    with cloud.store.lock:
        record.pending = None
        enter(cloud, record, "InService", failure=failure)


def weights(cloud: Cloud, call: Call) -> dict[str, Any]:
    """UpdateEndpointWeightsAndCapacities: the endpoint is ``Updating`` meanwhile."""
    wish = call.params
    with cloud.store.lock:
        record = cloud.store.endpoint(call.region, wish["EndpointName"])
        refuse_in_progress(record)
        known = {v["VariantName"]: v for v in record.variants}
        names = [d["VariantName"] for d in wish["DesiredWeightsAndCapacities"]]
        for name in names:
            if name not in known:
                raise Refused(
                    f'The variant name(s) "{name}" is/are not present within endpoint configuration '
                    f'"{record.config.name}".'
                )
            if names.count(name) > 1:
                raise Refused(f'The variant name "{name}" was non-unique within the request.')
        for change in wish["DesiredWeightsAndCapacities"]:
            variant = known[change["VariantName"]]
            variant.update({k: change[k] for k in ("DesiredWeight", "DesiredInstanceCount") if k in change})
        enter(cloud, record, "Updating")
    cloud.spawn(_reweigh, cloud, record)
    return {"EndpointArn": record.arn}


def _reweigh(cloud: Cloud, record: Endpoint) -> None:
    cloud.sleep(cloud.settings.updating_s)
    with cloud.store.lock:
        for variant in record.variants:
            for kind in ("Weight", "InstanceCount"):
                if f"Desired{kind}" in variant:
                    variant[f"Current{kind}"] = variant[f"Desired{kind}"]
        enter(cloud, record, "InService")
