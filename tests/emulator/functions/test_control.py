"""Lambda's control plane keeps and refuses what the real one does, where moto doesn't."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest

from clouddeploy.emulator.functions.base_image import PYTHON
from tests.emulator.conftest import TRUST as SAGEMAKER_TRUST
from tests.emulator.conftest import refused
from tests.emulator.functions.conftest import ECHO, Functions, packed

NUMBER = "def go(event, context):\n    return {}\n"


def create(functions: Functions, **changes: Any) -> dict[str, Any]:
    """CreateFunction's arguments."""
    wanted = {
        "FunctionName": functions.rig.fresh("refused"),
        "Runtime": f"python{PYTHON}",
        "Handler": "app.go",
        "Role": functions.role,
        "Code": {"ZipFile": packed({"app.py": ECHO})},
        **changes,
    }
    return {k: v for k, v in wanted.items() if v is not None}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"Runtime": "python9.9"}, "InvalidParameterValueException", "Value python9.9 at 'runtime'"),
        ({"Timeout": 901}, "ValidationException", "less than or equal to 900"),
        ({"MemorySize": 10_241}, "ValidationException", "less than or equal to 10240"),
        ({"Handler": None}, "InvalidParameterValueException", "Handler is mandatory"),
        ({"Runtime": None}, "InvalidParameterValueException", "Runtime is mandatory"),
        ({"Code": {"ZipFile": b"PK no zip"}}, "InvalidParameterValueException", "Could not unzip"),
        ({"Code": {"ZipFile": packed({})}}, "InvalidParameterValueException", "non-empty"),
        ({"Code": {}}, "InvalidParameterValueException", "source for function code"),
        (
            {"Code": {"S3Bucket": "no-such-bucket-here", "S3Key": "k"}},
            "InvalidParameterValueException",
            "S3 Error Code: NoSuchBucket",
        ),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x"}}},
            "InvalidParameterValueException",
            "Reserved keys used in this request: AWS_REGION",
        ),
        (
            {"Environment": {"Variables": {"A_B": "x" * 4096}}},
            "InvalidParameterValueException",
            "exceeded the 4KB limit",
        ),
        (
            {"Role": "arn:aws:iam::123456789012:role/nobody"},
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ),
        (
            {"Runtime": "python3.11", "SnapStart": {"ApplyOn": "PublishedVersions"}},
            "InvalidParameterValueException",
            "not supported for SnapStart",
        ),
        (
            {
                "Runtime": "python3.13",
                "SnapStart": {"ApplyOn": "PublishedVersions"},
                "EphemeralStorage": {"Size": 1024},
            },
            "InvalidParameterValueException",
            "ephemeral storage",
        ),
    ],
)
def test_a_bad_function_is_refused(
    functions: Functions, changes: dict[str, Any], code: str, words: str
) -> None:
    """Lambda API Reference, CreateFunction: "Errors"; Lambda Developer Guide, "Lambda quotas"."""
    wish = create(functions, **changes)
    refusal = refused(functions.api.create_function, **wish)
    assert refusal.code == code
    assert words in refusal.message
    assert refused(functions.api.get_function, FunctionName=wish["FunctionName"]).status == 404


def test_a_missing_object_is_refused(functions: Functions) -> None:
    code = {"S3Bucket": functions.rig.bucket, "S3Key": "nothing/here.zip"}
    refusal = refused(functions.api.create_function, **create(functions, Code=code))
    assert "S3 Error Code: NoSuchKey" in refusal.message


def test_an_object_is_taken(functions: Functions) -> None:
    functions.rig.s3.put_object(Bucket=functions.rig.bucket, Key="f.zip", Body=packed({"app.py": ECHO}))
    name = functions.make(Code={"S3Bucket": functions.rig.bucket, "S3Key": "f.zip"})
    assert functions.ask(name, [1]).body == [1]


def test_a_role_that_trusts_another_service_is_refused(functions: Functions) -> None:
    """Lambda Developer Guide, "Defining Lambda function permissions with an execution role"."""
    role = functions.rig.make_role(SAGEMAKER_TRUST)
    refusal = refused(functions.api.create_function, **create(functions, Role=role))
    assert refusal.message == "The role defined for the function cannot be assumed by Lambda."


def test_a_young_role_is_refused_at_first(functions: Functions, settings: Callable[..., None]) -> None:
    """IAM User Guide, "Troubleshoot IAM": changes aren't always immediately visible."""
    settings(role_ready_after_calls=1)
    from tests.emulator.functions.conftest import TRUST

    wish = create(functions, Role=functions.rig.make_role(TRUST))
    assert "cannot be assumed" in refused(functions.api.create_function, **wish).message
    assert functions.api.create_function(**wish)["State"] == "Active"


def test_a_second_function_of_a_name_is_refused(functions: Functions) -> None:
    name = functions.make()
    refusal = refused(functions.api.create_function, **create(functions, FunctionName=name))
    assert (refusal.code, refusal.status) == ("ResourceConflictException", 409)
    assert refusal.message == f"Function already exist: {name}"


def test_states_take_their_time(functions: Functions, settings: Callable[..., None]) -> None:
    """Lambda Developer Guide, "Lambda function states"."""
    settings(function_creating_s=0.4, function_updating_s=0.4)
    name = functions.make()
    got = functions.api.get_function_configuration
    found = got(FunctionName=name)
    assert (found["State"], found["StateReasonCode"]) == ("Pending", "Creating")
    refusal = refused(functions.api.invoke, FunctionName=name)
    assert (refusal.code, refusal.status) == ("ResourceConflictException", 409)
    assert refused(functions.api.publish_version, FunctionName=name).code == "ResourceConflictException"
    while got(FunctionName=name)["State"] == "Pending":
        time.sleep(0.05)
    assert functions.api.update_function_configuration(FunctionName=name, Timeout=5)["LastUpdateStatus"] == (
        "InProgress"
    )
    refusal = refused(functions.api.update_function_code, FunctionName=name, ZipFile=packed({"app.py": ECHO}))
    assert "An update is in progress for resource: arn:aws:lambda:" in refusal.message
    while got(FunctionName=name)["LastUpdateStatus"] == "InProgress":
        time.sleep(0.05)
    assert got(FunctionName=name)["Timeout"] == 5


def test_what_moto_forgets_is_described(functions: Functions) -> None:
    name = functions.make(
        Runtime="python3.13",
        SnapStart={"ApplyOn": "PublishedVersions"},
        LoggingConfig={"LogFormat": "JSON"},
        DeadLetterConfig={"TargetArn": "arn:aws:sqs:eu-west-1:123456789012:dead"},
    )
    found = functions.api.get_function(FunctionName=name)["Configuration"]
    assert found["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert found["LoggingConfig"]["LogFormat"] == "JSON"
    assert found["DeadLetterConfig"]["TargetArn"].endswith(":dead")
    assert "VpcConfig" not in found
    version = functions.publish(name)
    found = functions.api.get_function_configuration(FunctionName=name, Qualifier=version)
    assert found["SnapStart"]["OptimizationStatus"] == "On"
    assert found["FunctionArn"].endswith(f":{name}:{version}")


def test_the_log_can_be_json(functions: Functions) -> None:
    """Lambda Developer Guide, "Configuring JSON and plain text log formats"."""
    name = functions.make(LoggingConfig={"LogFormat": "JSON"})
    functions.ask(name)
    log = functions.log(name)
    assert any('"platform.start"' in line for line in log)
    assert any('"platform.report"' in line and '"maxMemoryUsedMB"' in line for line in log)


def test_publishing_twice_is_publishing_once(functions: Functions) -> None:
    """Lambda API Reference, PublishVersion; numbers are never used twice."""
    name = functions.make(NUMBER.format(1))
    assert functions.publish(name) == functions.publish(name) == "1"
    functions.change(name, NUMBER.format(2))
    assert functions.publish(name) == functions.publish(name) == "2"
    functions.api.update_function_configuration(FunctionName=name, MemorySize=512)
    assert functions.publish(name) == "3"
    functions.api.delete_function(FunctionName=name, Qualifier="1")
    functions.change(name, NUMBER.format(3))
    assert functions.publish(name) == "4"
    listed = functions.api.list_versions_by_function(FunctionName=name)["Versions"]
    assert [v["Version"] for v in listed] == ["$LATEST", "2", "3", "4"]
    assert [functions.ask(name, Qualifier=v).body for v in ("2", "4")] == [2, 3]
    assert functions.ask(f"{name}:2").body == 2


def test_guards_of_publish_and_update(functions: Functions) -> None:
    """Lambda API Reference, PublishVersion: "CodeSha256", "RevisionId"."""
    name = functions.make()
    found = functions.api.get_function_configuration(FunctionName=name)
    refusal = refused(functions.api.publish_version, FunctionName=name, CodeSha256="other")
    assert refusal.code == "InvalidParameterValueException"
    functions.api.update_function_configuration(FunctionName=name, Timeout=4, RevisionId=found["RevisionId"])
    for call in (functions.api.publish_version, functions.api.update_function_configuration):
        refusal = refused(call, FunctionName=name, RevisionId=found["RevisionId"])
        assert (refusal.code, refusal.status) == ("PreconditionFailedException", 412)
    version = functions.api.publish_version(
        FunctionName=name, CodeSha256=found["CodeSha256"], Description="clouddeploy 0123456789"
    )
    assert version["Description"] == "clouddeploy 0123456789"
    assert functions.api.get_function_configuration(FunctionName=name)["Description"] == ""


def test_a_published_version_stays_as_it_was(functions: Functions) -> None:
    name = functions.make(NUMBER.format(1), Environment={"Variables": {"OWN": "1"}})
    version = functions.publish(name)
    functions.api.update_function_configuration(FunctionName=name, Environment={"Variables": {"OWN": "2"}})
    functions.change(name, NUMBER.format(2))
    found = functions.api.get_function_configuration(FunctionName=name, Qualifier=version)
    assert found["Environment"]["Variables"] == {"OWN": "1"}
    assert functions.ask(name, Qualifier=version).body == 1
    assert functions.ask(name).body == 2


def test_an_alias_routes_by_weight(functions: Functions) -> None:
    """Lambda Developer Guide, "Implement Lambda canary deployments using a weighted alias"."""
    name = functions.make(NUMBER.format(1))
    functions.publish(name)
    functions.change(name, NUMBER.format(2))
    functions.publish(name)
    alias = {"FunctionName": name, "Name": "live"}
    functions.api.create_alias(**alias, FunctionVersion="1")
    assert functions.ask(name, Qualifier="live").version == "1"
    functions.api.update_alias(**alias, RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    answers = [functions.ask(name, Qualifier="live") for _ in range(40)]
    assert {a.version for a in answers} == {"1", "2"}
    assert all(str(a.body) == a.version for a in answers)
    functions.api.update_alias(
        **alias, FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {}}, Description="moved"
    )
    found = functions.api.get_alias(**alias)
    assert "RoutingConfig" not in found
    assert (found["FunctionVersion"], found["Description"]) == ("2", "moved")
    assert {functions.ask(name, Qualifier="live").body for _ in range(5)} == {2}


def test_bad_aliases_are_refused(functions: Functions) -> None:
    """Lambda API Reference, CreateAlias and UpdateAlias."""
    name = functions.make()
    functions.publish(name)
    make = functions.api.create_alias
    make(FunctionName=name, Name="live", FunctionVersion="1")
    assert (
        refused(make, FunctionName=name, Name="live", FunctionVersion="1").code == "ResourceConflictException"
    )
    assert refused(make, FunctionName=name, Name="other", FunctionVersion="7").status == 404
    assert refused(make, FunctionName=name, Name="12", FunctionVersion="1").code == "ValidationException"
    for weights in ({"9": 0.1}, {"1": 0.5}, {"$LATEST": 0.5}, {"2": 1.5}):
        routing = {"AdditionalVersionWeights": weights}
        refused(functions.api.update_alias, FunctionName=name, Name="live", RoutingConfig=routing)
    assert (
        refused(functions.api.update_alias, FunctionName=name, Name="no", FunctionVersion="1").status == 404
    )
    revision = functions.api.get_alias(FunctionName=name, Name="live")["RevisionId"]
    functions.api.update_alias(FunctionName=name, Name="live", Description="x", RevisionId=revision)
    stale = {"FunctionName": name, "Name": "live", "RevisionId": revision}
    assert refused(functions.api.update_alias, **stale).code == "PreconditionFailedException"


def test_a_version_that_an_alias_uses_stays(functions: Functions) -> None:
    """Lambda API Reference, DeleteFunction: a version that an alias references can't be deleted."""
    name = functions.make()
    functions.publish(name)
    functions.api.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    refusal = refused(functions.api.delete_function, FunctionName=name, Qualifier="1")
    assert refusal.code == "ResourceConflictException"
    assert refusal.message.endswith("the following aliases reference it: [live]")
    functions.api.delete_alias(FunctionName=name, Name="live")
    functions.api.delete_function(FunctionName=name, Qualifier="1")
    assert refused(functions.api.delete_function, FunctionName=name, Qualifier="1").status == 404
    refusal = refused(functions.api.delete_function, FunctionName=name, Qualifier="$LATEST")
    assert refusal.code == "InvalidParameterValueException"


def test_deleting_a_function_removes_all_that_hangs_on_it(functions: Functions) -> None:
    rig, api = functions.rig, functions.api
    name = functions.make()
    functions.ask(name)
    functions.publish(name)
    api.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    api.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="AWS_IAM")
    api.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    sqs = rig.client("sqs")
    queue = sqs.create_queue(QueueName=rig.fresh("queue"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    mapping = api.create_event_source_mapping(FunctionName=name, EventSourceArn=arn)["UUID"]
    target = {
        "ServiceNamespace": "lambda",
        "ResourceId": f"function:{name}:live",
        "ScalableDimension": "lambda:function:ProvisionedConcurrency",
    }
    rig.scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    api.delete_function(FunctionName=name)
    functions.await_end(name)
    assert refused(api.get_event_source_mapping, UUID=mapping).status == 404
    targets = rig.scaling.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"]
    assert target["ResourceId"] not in [t["ResourceId"] for t in targets]
    functions.api.create_function(**create(functions, FunctionName=name))
    assert api.list_aliases(FunctionName=name)["Aliases"] == []
    assert api.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"] == []
    assert api.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"] == []
    assert refused(api.get_function_url_config, FunctionName=name).status == 404


def test_listings_come_in_pages(functions: Functions) -> None:
    made = {functions.make() for _ in range(3)}
    pages = functions.api.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    names = [f["FunctionName"] for page in pages for f in page["Functions"]]
    assert made <= set(names)
    assert len(names) == len(set(names))


def test_tags_and_other_settings(functions: Functions) -> None:
    """Lambda API Reference: TagResource, PutRuntimeManagementConfig, PutFunctionEventInvokeConfig."""
    api = functions.api
    name = functions.make(Tags={"a": "1"})
    arn = api.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    api.tag_resource(Resource=arn, Tags={"b": "2"})
    api.untag_resource(Resource=arn, TagKeys=["a"])
    assert api.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    assert api.get_function(FunctionName=name)["Tags"] == {"b": "2"}
    assert api.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "Auto"
    api.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    assert api.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "FunctionUpdate"
    refused(api.put_runtime_management_config, FunctionName=name, UpdateRuntimeOn="Manual")
    assert refused(api.get_function_event_invoke_config, FunctionName=name).status == 404
    api.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    api.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    found = api.get_function_event_invoke_config(FunctionName=name)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 60)
    assert refused(api.put_function_event_invoke_config, FunctionName=name, MaximumRetryAttempts=3)
    api.delete_function_event_invoke_config(FunctionName=name)


def test_permissions(functions: Functions) -> None:
    """Lambda API Reference: AddPermission, GetPolicy, RemovePermission."""
    api, name = functions.api, functions.make()
    functions.publish(name)
    api.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    grant = {"Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com", "StatementId": "one"}
    api.add_permission(
        FunctionName=name, Qualifier="live", SourceArn="arn:aws:events:eu-west-1:123456789012:rule/x", **grant
    )
    assert refused(api.get_policy, FunctionName=name).status == 404
    policy = api.get_policy(FunctionName=name, Qualifier="live")
    assert f":function:{name}:live" in policy["Policy"]
    assert '"ArnLike"' in policy["Policy"]
    refusal = refused(api.add_permission, FunctionName=name, Qualifier="live", **grant)
    assert refusal.code == "ResourceConflictException"
    api.add_permission(FunctionName=name, **grant)
    stale = {"FunctionName": name, "StatementId": "one", "RevisionId": "old"}
    assert refused(api.remove_permission, **stale).code == "PreconditionFailedException"
    api.remove_permission(FunctionName=name, StatementId="one")
    assert refused(api.remove_permission, FunctionName=name, StatementId="one").status == 404
    assert api.get_policy(FunctionName=name, Qualifier="live")["RevisionId"] == policy["RevisionId"]


def test_updating_code_dry_changes_nothing(functions: Functions) -> None:
    name = functions.make(NUMBER.format(1))
    functions.api.update_function_code(FunctionName=name, ZipFile=packed({"app.py": ECHO}), DryRun=True)
    assert functions.ask(name).body == 1
    refusal = refused(functions.api.update_function_code, FunctionName=name, ZipFile=b"garbage")
    assert "Could not unzip" in refusal.message
    found = functions.api.update_function_code(
        FunctionName=name, ZipFile=packed({"app.py": NUMBER.format(2)}), Publish=True
    )
    assert found["Version"] == "1"
    assert len(base64.b64decode(found["CodeSha256"])) == 32
    assert functions.ask(name).body == 2
