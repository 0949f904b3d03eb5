"""SageMaker's control plane refuses and keeps what the real one does; each test cites its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clouddeploy.emulator.constraints import instance_types
from tests.emulator.conftest import IMAGE, TIMES, TRUST, Rig, code, refused

UNKNOWN_ROLE = "arn:aws:iam::123456789012:role/nobody"


def container(rig: Rig) -> dict[str, Any]:
    return {"Image": IMAGE, "ModelDataUrl": rig.put(code(TIMES.format(factor=2)))}


def test_a_name_that_is_taken_is_refused_for_models_configs_and_endpoints(rig: Rig) -> None:
    """API_CreateModel, API_CreateEndpointConfig, API_CreateEndpoint: the name must be unique."""
    model = rig.model()
    config = rig.config(model)
    endpoint = rig.endpoint(config)
    again = refused(
        rig.sm.create_model, ModelName=model, ExecutionRoleArn=rig.role, PrimaryContainer=container(rig)
    )
    assert again.code == "ValidationException"
    assert again.message.startswith("Cannot create already existing model")
    variant = {
        "VariantName": "main",
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    again = refused(rig.sm.create_endpoint_config, EndpointConfigName=config, ProductionVariants=[variant])
    assert again.message.startswith("Cannot create already existing endpoint configuration")
    again = refused(rig.sm.create_endpoint, EndpointName=endpoint, EndpointConfigName=config)
    assert again.message.startswith("Cannot create already existing endpoint ")


@pytest.mark.parametrize("name", ["under_score", "-first", "last-", "dot.ted", "x" * 64])
def test_a_name_that_breaks_the_pattern_is_refused(rig: Rig, name: str) -> None:
    """API_CreateModel, API_CreateEndpoint: Pattern and Length Constraints of the names, 63 characters."""
    for found in (
        refused(
            rig.sm.create_model, ModelName=name, ExecutionRoleArn=rig.role, PrimaryContainer=container(rig)
        ),
        refused(rig.sm.create_endpoint, EndpointName=name, EndpointConfigName="whatever"),
    ):
        assert found.code == "ValidationException"
        assert "failed to satisfy constraint" in found.message


def test_a_model_without_a_container_is_refused(rig: Rig) -> None:
    """API_CreateModel: PrimaryContainer or Containers."""
    found = refused(rig.sm.create_model, ModelName=rig.fresh(), ExecutionRoleArn=rig.role)
    assert found.code == "ValidationException"


def test_missing_model_data_is_refused(rig: Rig) -> None:
    """API_ContainerDefinition, "ModelDataUrl": the path must point to a single gzip tar archive."""
    for url in (f"s3://{rig.bucket}/nothing/model.tar.gz", "s3://no-such-bucket/model.tar.gz"):
        found = refused(
            rig.sm.create_model,
            ModelName=rig.fresh(),
            ExecutionRoleArn=rig.role,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url},
        )
        assert (found.code, found.message) == ("ValidationException", f"Could not find model data at {url}.")


@pytest.mark.parametrize("principal", [{"Service": "lambda.amazonaws.com"}, {"AWS": "*"}])
def test_a_role_that_does_not_trust_sagemaker_is_refused(rig: Rig, principal: dict[str, str]) -> None:
    """ "How to use SageMaker AI execution roles", Amazon SageMaker Developer Guide: trust relationship."""
    trust = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": principal}]}  # type: ignore[dict-item]
    for role in (rig.make_role(trust), UNKNOWN_ROLE):
        found = refused(
            rig.sm.create_model, ModelName=rig.fresh(), ExecutionRoleArn=role, PrimaryContainer=container(rig)
        )
        assert found.message.startswith(f"Could not assume role {role}.")


def test_a_role_that_may_not_read_the_model_data_is_refused(rig: Rig) -> None:
    """ "CreateModel API: Execution Role Permissions", Amazon SageMaker Developer Guide: s3:GetObject."""
    found = refused(
        rig.sm.create_model,
        ModelName=rig.fresh(),
        ExecutionRoleArn=rig.make_role(read="arn:aws:s3:::another-bucket/*"),
        PrimaryContainer=container(rig),
    )
    assert found.message.startswith("Could not access model data at s3://")


def test_a_new_role_can_not_be_assumed_for_the_first_calls(rig: Rig, settings: Callable[..., None]) -> None:
    """ "Changes that I make are not always immediately visible", IAM User Guide."""
    settings(role_ready_after_calls=2)
    wish = {"ModelName": rig.fresh(), "ExecutionRoleArn": rig.make_role(), "PrimaryContainer": container(rig)}
    for _ in range(2):
        assert refused(rig.sm.create_model, **wish).message.startswith("Could not assume role")
    rig.sm.create_model(**wish)


def test_a_new_role_can_not_be_assumed_for_the_first_seconds(rig: Rig, settings: Callable[..., None]) -> None:
    """ "Changes that I make are not always immediately visible", IAM User Guide."""
    settings(role_ready_after_s=1000)
    wish = {"ModelName": rig.fresh(), "ExecutionRoleArn": rig.role, "PrimaryContainer": container(rig)}
    assert refused(rig.sm.create_model, **wish).message.startswith("Could not assume role")
    settings(role_ready_after_s=0)
    rig.sm.create_model(**wish)


def test_every_instance_type_of_the_service_model_is_accepted(rig: Rig) -> None:
    """API_ProductionVariant, "InstanceType": Valid Values; newer families included."""
    assert {"ml.m7i.large", "ml.c7g.large", "ml.g6.xlarge", "ml.inf2.xlarge"} <= set(instance_types())
    rig.config(rig.model(), InstanceType="ml.c7g.large")
    found = refused(rig.config, model=rig.model(), InstanceType="ml.m99.large")
    assert "enum value set" in found.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}, "ServerlessConfig"),
        ({"InstanceType": None, "InitialInstanceCount": None}, "InstanceType or ServerlessConfig"),
        ({"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 201}}, "less than or equal to 200"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 5}, "InstanceType": None,
          "InitialInstanceCount": None}, "memorySizeInMB"),
        ({"ServerlessConfig": {"MemorySizeInMB": 7168, "MaxConcurrency": 5}}, "less than or equal to 6144"),
        ({"VariantName": "under_score"}, "variantName"),
        ({"ModelName": "no-such-model"}, "Could not find model"),
    ],
)  # fmt: skip
def test_a_variant_that_can_not_be_meant_is_refused(rig: Rig, changes: dict[str, Any], words: str) -> None:
    """API_ProductionVariant and API_ProductionVariantServerlessConfig: valid values and ranges."""
    found = refused(rig.config, model=rig.model(), **changes)
    assert found.code == "ValidationException"
    assert words in found.message


def test_two_variants_of_one_name_are_refused(rig: Rig) -> None:
    """API_ProductionVariant, "VariantName"."""
    variant = {
        "VariantName": "main",
        "ModelName": rig.model(),
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    found = refused(
        rig.sm.create_endpoint_config, EndpointConfigName=rig.fresh(), ProductionVariants=[variant, variant]
    )
    assert "non-unique" in found.message


def test_describe_returns_what_was_asked_for_and_no_empty_member(rig: Rig) -> None:
    """API_DescribeModel, API_DescribeEndpointConfig: shadow variants, key, network; absent when not given."""
    model = rig.fresh()
    network = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    rig.sm.create_model(
        ModelName=model, ExecutionRoleArn=rig.role, PrimaryContainer=container(rig), VpcConfig=network
    )
    assert rig.sm.describe_model(ModelName=model)["VpcConfig"] == network
    plain = rig.sm.describe_model(ModelName=rig.model())
    assert {} not in plain.values()
    assert "VpcConfig" not in plain
    main, shadow = (
        {"VariantName": n, "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        for n in ("main", "shadow")
    )
    config = rig.fresh()
    rig.sm.create_endpoint_config(
        EndpointConfigName=config,
        ProductionVariants=[main],
        ShadowProductionVariants=[shadow],
        KmsKeyId="key-1",
    )
    found = rig.sm.describe_endpoint_config(EndpointConfigName=config)
    assert found["KmsKeyId"] == "key-1"
    assert [v["VariantName"] for v in found["ShadowProductionVariants"]] == ["shadow"]
    assert "DataCaptureConfig" not in rig.sm.describe_endpoint_config(EndpointConfigName=rig.config(model))


def test_tags_are_kept_changed_and_removed(rig: Rig) -> None:
    """API_AddTags, API_ListTags, API_DeleteTags."""
    config, name = rig.config(), rig.fresh("endpoint")
    arn = rig.sm.create_endpoint(
        EndpointName=name, EndpointConfigName=config, Tags=[{"Key": "a", "Value": "1"}]
    )["EndpointArn"]
    refused(rig.sm.create_endpoint, EndpointName=name, EndpointConfigName=config, Tags=[])
    rig.settled(name)
    rig.sm.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    assert rig.sm.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "a", "Value": "2"},
        {"Key": "b", "Value": "3"},
    ]
    rig.sm.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert rig.sm.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "3"}]


def test_the_tagging_api_sees_endpoint_configs_under_their_arn(rig: Rig) -> None:
    """API_GetResources, Resource Groups Tagging API Reference."""
    name, key = rig.fresh("config"), rig.fresh("key")
    variant = {
        "VariantName": "main",
        "ModelName": rig.model(),
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    arn = rig.sm.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=[variant], Tags=[{"Key": key, "Value": "1"}]
    )["EndpointConfigArn"]
    tagging = rig.client("resourcegroupstaggingapi")
    found = tagging.get_resources(TagFilters=[{"Key": key}])["ResourceTagMappingList"]
    assert [r["ResourceARN"] for r in found] == [arn]


def test_listings_filter_by_name_and_come_in_pages(rig: Rig) -> None:
    """API_ListModels, API_ListEndpointConfigs: NameContains, MaxResults, NextToken, newest first."""
    stem, model = rig.fresh("list"), rig.model()
    made = []
    for number in range(5):
        made.append(f"{stem}-{number}")
        rig.sm.create_model(ModelName=made[-1], ExecutionRoleArn=rig.role, PrimaryContainer={"Image": IMAGE})
    pages = []
    token: dict[str, str] = {}
    while True:
        page = rig.sm.list_models(NameContains=stem, MaxResults=2, **token)
        pages.append([m["ModelName"] for m in page["Models"]])
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert pages == [made[4:2:-1], made[2:0:-1], made[0:1]]
    by_name = rig.sm.list_models(NameContains=stem, SortBy="Name", SortOrder="Ascending")["Models"]
    assert [m["ModelName"] for m in by_name] == made
    config = rig.config(model)
    found = rig.sm.list_endpoint_configs(NameContains=config)["EndpointConfigs"]
    assert [c["EndpointConfigName"] for c in found] == [config]


def test_what_does_not_exist_is_a_validation_exception(rig: Rig) -> None:
    """API_DescribeEndpoint and others: Common Errors, ValidationException."""
    for call, key in (
        (rig.sm.describe_endpoint, "EndpointName"),
        (rig.sm.delete_endpoint, "EndpointName"),
        (rig.sm.describe_endpoint_config, "EndpointConfigName"),
        (rig.sm.delete_endpoint_config, "EndpointConfigName"),
        (rig.sm.describe_model, "ModelName"),
        (rig.sm.delete_model, "ModelName"),
    ):
        found = refused(call, **{key: "no-such-thing"})
        assert found.code == "ValidationException"
        assert found.message.startswith("Could not find")


def test_an_endpoint_is_creating_for_a_while_and_can_not_be_changed_meanwhile(
    rig: Rig, settings: Callable[..., None]
) -> None:
    """API_DescribeEndpoint, "EndpointStatus"; API_DeleteEndpointConfig: not while an endpoint is created."""
    settings(creating_s=0.5, settle_s=0)
    config, name = rig.config(), rig.fresh("endpoint")
    rig.sm.create_endpoint(EndpointName=name, EndpointConfigName=config)
    assert rig.sm.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating"
    for found in (
        refused(rig.sm.delete_endpoint, EndpointName=name),
        refused(rig.sm.update_endpoint, EndpointName=name, EndpointConfigName=config),
    ):
        assert found.message.startswith("Cannot update in-progress endpoint")
    assert "Creating" in refused(rig.sm.delete_endpoint_config, EndpointConfigName=config).message
    assert refused(rig.runtime.invoke_endpoint, EndpointName=name, Body=b"{}").code == "ValidationError"
    settings(settle_s=1)
    assert rig.settled(name)["EndpointStatus"] == "InService"
    rig.sm.delete_endpoint(EndpointName=name)
    rig.sm.delete_endpoint_config(EndpointConfigName=config)


def test_an_endpoint_is_deleting_for_a_while(rig: Rig, settings: Callable[..., None]) -> None:
    """API_DescribeEndpoint, "EndpointStatus": Deleting."""
    name = rig.endpoint()
    settings(deleting_s=0.3, settle_s=0)
    rig.sm.delete_endpoint(EndpointName=name)
    assert rig.sm.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Deleting"
    settings(settle_s=2)
    refused(rig.sm.describe_endpoint, EndpointName=name)


def test_a_failed_endpoint_says_why_and_can_only_be_deleted(rig: Rig) -> None:
    """API_DescribeEndpoint: Failed, FailureReason; DeleteEndpoint is the only operation on it."""
    config, name = rig.config(rig.model(code("raise RuntimeError('no weights')"))), rig.fresh("endpoint")
    rig.sm.create_endpoint(EndpointName=name, EndpointConfigName=config)
    found = rig.settled(name)
    assert found["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in found["FailureReason"]
    assert any("no weights" in line for line in rig.log(name))
    assert "Failed" in refused(rig.sm.update_endpoint, EndpointName=name, EndpointConfigName=config).message
    rig.sm.delete_endpoint(EndpointName=name)


def test_regions_are_apart(rig: Rig) -> None:
    """API_CreateEndpoint: unique within an AWS Region."""
    model = rig.model()
    assert (
        refused(rig.client("sagemaker", "us-west-2").describe_model, ModelName=model).code
        == "ValidationException"
    )
