"""Templates are refused, and their functions called, as CloudFormation does.

AWS CloudFormation User Guide: "Template anatomy", "Intrinsic function reference", "Pseudo parameters",
"Parameters", "Conditions".
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.cloudformation.conftest import Clerk, group, output, wish
from tests.emulator.conftest import Rig, refused

REF = {"Ref": "Other"}
BAD_TEMPLATES = {
    "no JSON or YAML": ("{{{", "YAML not well-formed"),
    "no object": ("[1]", "unsupported structure"),
    "no resources": ({"Resources": {}}, "At least one Resources member must be defined"),
    "an unknown section": ({"Resources": {"A": group()}, "Resource": {}}, "Invalid template property"),
    "a resource without type": ({"Resources": {"A": {}}}, "must contain a Type member"),
    "a name that isn't there": (
        {"Resources": {"A": group(LogGroupName=REF)}}, "[Other] in the Resources block",
    ),
    "the same by Fn::Sub": (
        {"Resources": {"A": group(LogGroupName={"Fn::Sub": "x${Other.Arn}"})}}, "dependencies [Other]",
    ),
    "the same by DependsOn": (
        {"Resources": {"A": {**group(), "DependsOn": "Other"}}}, "dependencies [Other]",
    ),
    "the same in an output": (
        {"Resources": {"A": group()}, "Outputs": {"O": {"Value": REF}}}, "[Other] in the Outputs block",
    ),
    "a circle": (
        {"Resources": {"A": {**group(), "DependsOn": "B"}, "B": {**group(), "DependsOn": "A"}}},
        "Circular dependency between resources",
    ),
    "a malformed function": ({"Resources": {"A": group(LogGroupName={"Fn::Sub": []})}}, "is malformed"),
    "an attribute of nothing": ({"Resources": {"A": group(LogGroupName={"Fn::GetAtt": []})}}, "is malformed"),
    "a section that is none": ({"Resources": {"A": group()}, "Outputs": [1]}, "is malformed"),
    "a macro": ({"Resources": {"A": group()}, "Transform": "AWS::Serverless-2016-10-31"}, "runs no macros"),
    "too long a body": (
        {"Resources": {"A": group()}, "Description": "x" * 60_000}, "less than or equal to 51200",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TEMPLATES)
def test_what_is_no_template_is_refused_by_validation_and_creation(clerk: Clerk, rig: Rig, name: str) -> None:
    template, message = BAD_TEMPLATES[name]
    body = template if isinstance(template, str) else json.dumps(template)
    for call, more in (
        (clerk.api.validate_template, {}),
        (clerk.api.create_stack, {"StackName": rig.fresh()}),
    ):
        found = refused(call, TemplateBody=body, **more)
        assert found.code == "ValidationError"
        assert message in found.message


def test_a_template_whose_values_are_wrong_is_valid_all_the_same(clerk: Clerk) -> None:
    """ "Validating a template": syntax only; whether a property's value is right shows when it is made."""
    body = json.dumps({"Resources": {"A": group(RetentionInDays="never", Nonsense=1)}, "Description": "d"})
    assert clerk.api.validate_template(TemplateBody=body)["Description"] == "d"


ARN = "arn:aws:logs:eu-west-1:123456789012:log-group:{group}:*"
FUNCTIONS: dict[str, tuple[Any, str]] = {
    "Ref of a resource": ({"Ref": "Group"}, "{group}"),
    "Ref of a parameter": ({"Ref": "Word"}, "hello"),
    "Ref of a list": ({"Fn::Join": ["+", {"Ref": "List"}]}, "a+b"),
    "Ref of pseudo parameters": (
        {"Fn::Join": ["/", [{"Ref": "AWS::Partition"}, {"Ref": "AWS::AccountId"}, {"Ref": "AWS::Region"}]]},
        "aws/123456789012/eu-west-1",
    ),
    "GetAtt as a list": ({"Fn::GetAtt": ["Group", "Arn"]}, ARN),
    "GetAtt as text": ({"Fn::GetAtt": "Group.Arn"}, ARN),
    "Sub": ({"Fn::Sub": "${Word}, ${AWS::URLSuffix}, ${!Word}, ${Group}"},
        "hello, amazonaws.com, ${{Word}}, {group}"),
    "Sub with an attribute and its own": ({"Fn::Sub": ["${x}-${Group.Arn}", {"x": {"Ref": "Word"}}]},
        f"hello-{ARN}"),
    "Select of Split": ({"Fn::Select": [1, {"Fn::Split": [",", "p,q"]}]}, "q"),
    "FindInMap": ({"Fn::FindInMap": ["Sizes", {"Ref": "Word"}, "number"]}, "7"),
    "If true": ({"Fn::If": ["IsHello", "yes", {"Ref": "AWS::NoValue"}]}, "yes"),
    "If not": ({"Fn::If": ["IsOther", "yes", "no"]}, "no"),
    "Base64": ({"Fn::Base64": "hi"}, "aGk="),
    "Select of GetAZs": ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "eu-west-1a"),
    "ToJsonString": ({"Fn::ToJsonString": {"a": [1, {"Ref": "Word"}]}}, '{{"a":[1,"hello"]}}'),
    "a boolean in text": ({"Fn::Sub": ["${x}", {"x": True}]}, "true"),
}  # fmt: skip


def test_functions_are_called(clerk: Clerk) -> None:
    parameters = {"Word": {"Type": "String", "Default": "hello"}, "List": {"Type": "CommaDelimitedList"}}
    conditions = {
        "IsHello": {"Fn::Equals": [{"Ref": "Word"}, "hello"]},
        "IsOther": {"Fn::And": [{"Condition": "IsHello"}, {"Fn::Not": [{"Condition": "IsHello"}]}]},
        "Either": {"Fn::Or": [{"Condition": "IsOther"}, {"Condition": "IsHello"}]},
    }
    name = clerk.make(
        {
            "Group": group(),
            "Never": {**group(), "Condition": "IsOther"},
            "Ever": {**group(), "Condition": "Either"},
        },
        Parameters=parameters,
        Conditions=conditions,
        Mappings={"Sizes": {"hello": {"number": 7}}},
        Outputs={
            **{f"O{i}": output(value) for i, (value, _) in enumerate(FUNCTIONS.values())},
            "Never": {"Value": "x", "Condition": "IsOther"},
        },
        given={"List": "a, b"},
    )
    assert clerk.stack(name)["StackStatus"] == "CREATE_COMPLETE", clerk.reasons(name)
    parts, outputs = clerk.parts(name), clerk.outputs(name)
    assert sorted(parts) == ["Ever", "Group"]
    expected = {f"O{i}": text.format(group=parts["Group"]) for i, (_, text) in enumerate(FUNCTIONS.values())}
    assert outputs == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"Fn::GetAtt": ["Group", "Color"]}, "Requested attribute Color does not exist in schema"),
        ({"Fn::ImportValue": "nobody-exports-this"}, "No export named nobody-exports-this found"),
        ({"Fn::Cidr": ["10.0.0.0/8", 1, 8]}, "the embedded cloud doesn't know Fn::Cidr"),
        ({"Fn::Select": [9, ["a"]]}, "Fn::Select can't be called with"),
        ({"Fn::If": ["Lacking"]}, "a function can't be called so"),
        ({"Fn::If": ["Lacking", "a", "b"]}, "unresolved condition dependency Lacking"),
    ],
)
def test_a_function_that_gives_nothing_fails_the_stack_with_its_reason(
    clerk: Clerk, value: Any, reason: str
) -> None:
    name = clerk.make({"Group": group(), "Other": group(LogGroupName=value)})
    assert clerk.stack(name)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert reason in clerk.reasons(name)


def test_yaml_with_short_forms_is_a_template(clerk: Clerk, rig: Rig) -> None:
    name = rig.fresh("stack")
    body = """
AWSTemplateFormatVersion: 2010-09-09
Conditions:
  Yes: !Equals [a, a]
Resources:
  Group:
    Type: AWS::Logs::LogGroup
    Condition: Yes
Outputs:
  Arn: {Value: !GetAtt Group.Arn}
  Text: {Value: !Sub "${Group} in ${AWS::StackName}"}
  Joined: {Value: !Join ["-", [!Ref "AWS::StackName", !If [Yes, x, y]]]}
"""
    clerk.api.create_stack(StackName=name, TemplateBody=body)
    assert clerk.settled(name) == "CREATE_COMPLETE"
    outputs, made = clerk.outputs(name), clerk.parts(name)["Group"]
    assert outputs["Text"] == f"{made} in {name}"
    assert outputs["Joined"] == f"{name}-x"
    assert outputs["Arn"].endswith(f"{made}:*")


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        ({"Type": "String"}, {}, "Parameters: [P] must have values"),
        ({"Type": "String"}, {"P": "a", "Q": "b"}, "Parameters: [Q] do not exist in the template"),
        ({"Type": "String", "AllowedValues": ["a", "b"]}, {"P": "c"}, "must be one of AllowedValues"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, {"P": "A1"}, "must match pattern [a-z]+"),
        ({"Type": "Number"}, {"P": "many"}, "must be a number"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(
    clerk: Clerk, rig: Rig, declared: dict[str, Any], given: dict[str, str], message: str
) -> None:
    more = wish(Parameters={"P": declared}, given=given)
    found = refused(clerk.api.create_stack, StackName=rig.fresh(), **more)
    assert found.code == "ValidationError"
    assert message in found.message


def test_a_secret_parameter_is_covered(clerk: Clerk) -> None:
    name = clerk.make(Parameters={"P": {"Type": "String", "NoEcho": True}}, given={"P": "secret"})
    assert clerk.stack(name)["Parameters"] == [{"ParameterKey": "P", "ParameterValue": "****"}]


@pytest.mark.parametrize(
    ("properties", "given", "lacking"),
    [({}, [], "CAPABILITY_IAM"), ({"RoleName": "mine"}, ["CAPABILITY_IAM"], "CAPABILITY_NAMED_IAM")],
)
def test_iam_resources_must_be_acknowledged(
    clerk: Clerk, rig: Rig, properties: dict[str, str], given: list[str], lacking: str
) -> None:
    """ "Acknowledging IAM resources in CloudFormation templates"."""
    resources = {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}
    more = {**wish(resources), "Capabilities": given}
    found = refused(clerk.api.create_stack, StackName=rig.fresh(), **more)
    assert found.code == "InsufficientCapabilitiesException"
    assert lacking in found.message


def test_a_template_may_lie_in_s3_and_nowhere_else(clerk: Clerk, rig: Rig) -> None:
    """API_CreateStack: TemplateURL, in either of S3's styles."""
    rig.s3.put_object(Bucket=rig.bucket, Key="t/x.json", Body=wish()["TemplateBody"].encode())
    for url in (
        f"https://s3.amazonaws.com/{rig.bucket}/t/x.json",
        f"https://s3.eu-west-1.amazonaws.com/{rig.bucket}/t/x.json",
        f"https://{rig.bucket}.s3.eu-west-1.amazonaws.com/t/x.json",
    ):
        assert clerk.api.validate_template(TemplateURL=url)["Parameters"] == []
    for url, message in (
        ("https://example.org/t/x.json", "TemplateURL must be a supported URL"),
        (f"https://s3.amazonaws.com/{rig.bucket}/t/y.json", "The specified key does not exist"),
    ):
        assert message in refused(clerk.api.validate_template, TemplateURL=url).message
