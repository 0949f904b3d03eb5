"""Functions and what belongs to them in a stack (CloudFormation Template Reference, AWS::Lambda::*)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.cloudformation.conftest import Clerk, output
from tests.emulator.conftest import Rig

CODE = "import os\ndef handler(event, context):\n    return [{answer}, os.environ.get('WORD')]\n"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
ROLE = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}


def function(answer: int = 1, **properties: Any) -> dict[str, Any]:
    """A function whose source stands in the template."""
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"ZipFile": CODE.format(answer=answer)},
            "Handler": "index.handler",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Runtime": "python3.13",
            **properties,
        },
    }


def version(**more: Any) -> dict[str, Any]:
    """A version of the function."""
    return {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}, **more}


def alias(of: str, **properties: Any) -> dict[str, Any]:
    """An alias called ``live``."""
    number = {"Fn::GetAtt": [of, "Version"]}
    wanted = {"FunctionName": {"Ref": "Function"}, "FunctionVersion": number, "Name": "live", **properties}
    return {"Type": "AWS::Lambda::Alias", "Properties": wanted}


class Functions:
    """The cloud's functions, and one called often."""

    def __init__(self, rig: Rig) -> None:
        self.api = rig.client("lambda")

    def call(self, name: str, qualifier: str = "$LATEST") -> Any:
        """What a function answers."""
        found = self.api.invoke(FunctionName=name, Qualifier=qualifier, Payload=b"{}")
        return json.loads(found["Payload"].read())


@pytest.fixture(scope="module")
def functions(rig: Rig) -> Functions:
    """The worker's functions."""
    return Functions(rig)


def test_an_update_publishes_the_new_code_and_moves_the_alias(clerk: Clerk, functions: Functions) -> None:
    """Modifications come before the additions that need them: the new version has the new code."""
    outputs = {
        "Ref": output({"Ref": "V1"}),
        "Arn": output({"Fn::GetAtt": ["V1", "FunctionArn"]}),
        "Alias": output({"Ref": "Alias"}),
    }
    kept = {"DeletionPolicy": "Retain"}
    first = {"Role": ROLE, "Function": function(1), "V1": version(**kept), "Alias": alias("V1")}
    name = clerk.make(first, Outputs=outputs)
    assert clerk.stack(name)["StackStatus"] == "CREATE_COMPLETE", clerk.reasons(name)
    made = clerk.parts(name)["Function"]
    told = clerk.outputs(name)
    assert told["Ref"] == told["Arn"] == f"arn:aws:lambda:eu-west-1:123456789012:function:{made}:1"
    assert told["Alias"].endswith(f":function:{made}:live")
    assert functions.call(made, "live") == [1, None]
    second = {"Role": ROLE, "Function": function(2), "V2": version(**kept), "Alias": alias("V2")}
    assert clerk.change(name, second, Outputs={"Ref": output({"Ref": "V2"})}) == "UPDATE_COMPLETE"
    assert functions.call(made, "live") == [2, None]
    assert functions.call(made, "1") == [1, None]  # retained
    assert clerk.outputs(name)["Ref"].endswith(":2")
    assert clerk.remove(name) == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        functions.api.get_function(FunctionName=made)


def test_a_failed_update_brings_the_old_code_back(clerk: Clerk, functions: Functions) -> None:
    name = clerk.make({"Role": ROLE, "Function": function(1, Environment={"Variables": {"WORD": "a"}})})
    made = clerk.parts(name)["Function"]
    bad = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {"FunctionName": {"Ref": "Function"}, "Action": "x"},
    }
    after = {"Role": ROLE, "Function": function(2, Environment={"Variables": {"WORD": "b"}}), "Bad": bad}
    assert clerk.change(name, after) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Properties validation failed" in clerk.reasons(name)
    assert functions.call(made) == [1, "a"]
    clerk.remove(name)


def test_a_role_that_was_just_made_is_waited_for(clerk: Clerk, settings: Callable[..., None]) -> None:
    """ "Troubleshoot IAM": changes take a moment to be seen everywhere."""
    settings(role_ready_after_s=0.5)
    name = clerk.make({"Role": ROLE, "Function": function()})
    assert clerk.stack(name)["StackStatus"] == "CREATE_COMPLETE", clerk.reasons(name)
    clerk.remove(name)


def test_publishing_what_is_published_already_fails(clerk: Clerk) -> None:
    """The version's type reports it: "A version for this Lambda function exists"."""
    name = clerk.make({"Role": ROLE, "Function": function(), "V1": version(DeletionPolicy="Retain")})
    again = {"Role": ROLE, "Function": function(), "V1": version(), "V2": version(DependsOn="V1")}
    assert clerk.change(name, again) == "UPDATE_ROLLBACK_COMPLETE"
    assert "A version for this Lambda function exists ( 1 )" in clerk.reasons(name)
    clerk.remove(name)


def test_settings_follow_the_template_and_those_left_out_their_defaults(
    clerk: Clerk, functions: Functions
) -> None:
    rich = function(
        MemorySize="256", Timeout=9, Description="d", Environment={"Variables": {"WORD": "x"}},
        ReservedConcurrentExecutions=3, Tags=[{"Key": "a", "Value": "b"}],
    )  # fmt: skip
    name = clerk.make({"Role": ROLE, "Function": rich})
    made = clerk.parts(name)["Function"]
    found = functions.api.get_function(FunctionName=made)
    assert (found["Configuration"]["MemorySize"], found["Configuration"]["Timeout"]) == (256, 9)
    assert found["Concurrency"]["ReservedConcurrentExecutions"] == 3
    assert found["Tags"]["a"] == "b"
    assert functions.call(made) == [1, "x"]
    assert clerk.change(name, {"Role": ROLE, "Function": function()}) == "UPDATE_COMPLETE"
    found = functions.api.get_function(FunctionName=made)
    assert (found["Configuration"]["MemorySize"], found["Configuration"]["Timeout"]) == (128, 3)
    assert "Concurrency" not in found
    assert "a" not in found.get("Tags", {})
    assert functions.call(made) == [1, None]
    clerk.remove(name)


def test_weights_provisioned_concurrency_urls_and_permissions(clerk: Clerk, functions: Functions) -> None:
    first = {
        "Role": ROLE, "Function": function(1), "V1": version(DeletionPolicy="Retain"),
        "Alias": alias("V1", ProvisionedConcurrencyConfig={"ProvisionedConcurrentExecutions": 1}),
        "Url": {"Type": "AWS::Lambda::Url", "Properties": {
            "TargetFunctionArn": {"Fn::Sub": "${Function.Arn}"}, "Qualifier": "live", "AuthType": "AWS_IAM",
            "Cors": {"AllowOrigins": ["*"]}}, "DependsOn": "Alias"},
        "Permission": {"Type": "AWS::Lambda::Permission", "Properties": {
            "FunctionName": {"Ref": "Alias"}, "Action": "lambda:InvokeFunction",
            "Principal": "events.amazonaws.com"}},
    }  # fmt: skip
    name = clerk.make(first, Outputs={"Url": output({"Fn::GetAtt": ["Url", "FunctionUrl"]})})
    assert clerk.stack(name)["StackStatus"] == "CREATE_COMPLETE", clerk.reasons(name)
    api, made = functions.api, clerk.parts(name)["Function"]
    live = {"FunctionName": made, "Qualifier": "live"}
    assert api.get_provisioned_concurrency_config(**live)["Status"] == "READY"
    assert api.get_function_url_config(**live)["FunctionUrl"] == clerk.outputs(name)["Url"]
    (statement,) = json.loads(api.get_policy(**live)["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    weights = [{"FunctionVersion": {"Fn::GetAtt": ["V1", "Version"]}, "FunctionWeight": 0.25}]
    second = {
        "Role": ROLE, "Function": function(2),
        "V1": first["V1"], "V2": version(DeletionPolicy="Retain"),
        "Alias": alias("V2", RoutingConfig={"AdditionalVersionWeights": weights}),
    }  # fmt: skip
    assert clerk.change(name, second) == "UPDATE_COMPLETE", clerk.reasons(name)
    found = api.get_alias(FunctionName=made, Name="live")
    assert (found["FunctionVersion"], found["RoutingConfig"]["AdditionalVersionWeights"]) == (
        "2",
        {"1": 0.25},
    )
    for call in (api.get_provisioned_concurrency_config, api.get_function_url_config, api.get_policy):
        with pytest.raises(ClientError, match="NotFoundException"):
            call(**live)
    assert clerk.remove(name) == "DELETE_COMPLETE"


def test_provisioned_concurrency_scales_by_a_target_in_the_stack(clerk: Clerk, rig: Rig) -> None:
    target = {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": {
        "MinCapacity": 1, "MaxCapacity": 2, "ServiceNamespace": "lambda",
        "ScalableDimension": "lambda:function:ProvisionedConcurrency",
        "ResourceId": {"Fn::Sub": "function:${Function}:live"}}, "DependsOn": "Alias"}  # fmt: skip
    policy = {"Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": {
        "PolicyName": "utilization", "PolicyType": "TargetTrackingScaling",
        "ScalingTargetId": {"Ref": "Target"},
        "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 0.7, "PredefinedMetricSpecification": {
            "PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"}}}}  # fmt: skip
    provisioned = {"ProvisionedConcurrentExecutions": 1}
    name = clerk.make({
        "Role": ROLE, "Function": function(), "V1": version(), "Target": target, "Policy": policy,
        "Alias": alias("V1", ProvisionedConcurrencyConfig=provisioned),
    })  # fmt: skip
    assert clerk.stack(name)["StackStatus"] == "CREATE_COMPLETE", clerk.reasons(name)
    made = clerk.parts(name)["Function"]
    where = {"ServiceNamespace": "lambda", "ResourceIds": [f"function:{made}:live"]}
    (found,) = rig.scaling.describe_scalable_targets(**where)["ScalableTargets"]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (1, 2)
    resource = f"function:{made}:live"
    policies = rig.scaling.describe_scaling_policies(ServiceNamespace="lambda", ResourceId=resource)
    assert [p["PolicyName"] for p in policies["ScalingPolicies"]] == ["utilization"]
    assert clerk.remove(name) == "DELETE_COMPLETE"
    assert rig.scaling.describe_scalable_targets(**where)["ScalableTargets"] == []
