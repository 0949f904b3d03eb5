"""CreateEndpointConfig, DescribeEndpointConfig, DeleteEndpointConfig (Amazon SageMaker API Reference)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.sagemaker.fleet import container_of
from clouddeploy.emulator.sagemaker.records import IN_PROGRESS, Record, arn_of

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

MEMORY_STEP_MB = 1024


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    """CreateEndpointConfig: every variant is checked, alone and against the others."""
    wish = dict(call.params)
    tags = wish.pop("Tags", None) or []
    variants = [*wish["ProductionVariants"], *(wish.get("ShadowProductionVariants") or [])]
    names = [v["VariantName"] for v in variants]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise Refused(f'The variant name "{twice}" was non-unique within the request.')
    for variant in variants:
        _check_variant(variant)
    with cloud.store.lock:
        for variant in variants:
            name = variant.get("ModelName")
            model = cloud.store.all(call.region, "model").get(name) if name else None
            if name and model is None:
                raise Refused(f'Could not find model "{arn_of(call.region, "model", name)}".')
            if (
                model
                and variant.get("ServerlessConfig")
                and container_of(model.request).get("ModelDataSource")
            ):
                # ContainerDefinition, "ModelDataSource": not with serverless endpoints.
                raise Refused(f'ModelDataSource is not supported for the serverless variant of "{name}".')
        record = Record("endpoint-config", call.region, wish["EndpointConfigName"], wish, list(tags))
        cloud.store.add(record)
    return {"EndpointConfigArn": record.arn}


def _check_variant(variant: dict[str, Any]) -> None:
    """ProductionVariant and ProductionVariantServerlessConfig, as their pages say."""
    name, serverless = variant["VariantName"], variant.get("ServerlessConfig")
    if not serverless:
        if not variant.get("InstanceType"):
            raise Refused(
                f'Either InstanceType or ServerlessConfig must be specified for the variant "{name}".'
            )
        if not variant.get("InitialInstanceCount") and not variant.get("ManagedInstanceScaling"):
            raise Refused(f'InitialInstanceCount must be specified for the variant "{name}".')
        return
    both = [k for k in ("InstanceType", "InitialInstanceCount") if variant.get(k)]
    if both:
        raise Refused(f'{both[0]} can not be specified with ServerlessConfig for the variant "{name}".')
    memory = serverless["MemorySizeInMB"]
    if memory % MEMORY_STEP_MB:
        allowed = ", ".join(str(MEMORY_STEP_MB * n) for n in range(1, 7))
        raise Refused(
            f"1 validation error detected: Value '{memory}' at 'memorySizeInMB' failed to satisfy "
            f"constraint: Member must satisfy enum value set: [{allowed}]"
        )
    provisioned = serverless.get("ProvisionedConcurrency")
    if provisioned is not None and provisioned > serverless["MaxConcurrency"]:
        raise Refused(f'ProvisionedConcurrency must not exceed MaxConcurrency for the variant "{name}".')


def describe(cloud: Cloud, call: Call) -> dict[str, Any]:
    """DescribeEndpointConfig: all that was asked for, shadow variants, key and network included."""
    record = cloud.store.get(call.region, "endpoint-config", call.params["EndpointConfigName"])
    found = {k: v for k, v in record.request.items() if v not in ({}, [], None)}
    found["ProductionVariants"] = [{"InitialVariantWeight": 1.0, **v} for v in found["ProductionVariants"]]
    return {**found, "EndpointConfigArn": record.arn, "CreationTime": record.created}


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    """DeleteEndpointConfig: refused while an endpoint is being created or updated with it."""
    with cloud.store.lock:
        record = cloud.store.get(call.region, "endpoint-config", call.params["EndpointConfigName"])
        for endpoint in cloud.store.endpoints(call.region):
            if endpoint.status in IN_PROGRESS - {"Deleting"} and record in (
                endpoint.config,
                endpoint.pending,
            ):
                raise Refused(
                    f'Cannot delete endpoint configuration "{record.arn}" while the endpoint '
                    f'"{endpoint.arn}" that uses it is {endpoint.status}.'
                )
        cloud.store.drop(record)
    return {}
