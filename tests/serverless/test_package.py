"""``osls package`` makes of serverless.yml what its comments promise."""

from __future__ import annotations

import json
import zipfile
from typing import Any

from clouddeploy import config
from tests.serverless.conftest import ROOT, Osls


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The properties of all resources of a type."""
    return [r["Properties"] for r in template["Resources"].values() if r["Type"] == kind]


def stage_of(template: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Provisioned concurrency of each alias, retention of each log group."""
    aliases = [a["ProvisionedConcurrencyConfig"] for a in of_type(template, "AWS::Lambda::Alias")]
    groups = of_type(template, "AWS::Logs::LogGroup")
    return [a["ProvisionedConcurrentExecutions"] for a in aliases], [g["RetentionInDays"] for g in groups]


def test_the_stage_decides_concurrency_and_retention(packaged: Osls, osls: Osls) -> None:
    osls.run("package", "--stage", "prod")
    assert stage_of(packaged.template()) == ([], [7])
    assert stage_of(osls.template()) == ([2], [90])


def test_the_function_may_write_its_own_log_and_nothing_else(packaged: Osls) -> None:
    template = packaged.template()
    (role,) = of_type(template, "AWS::IAM::Role")
    (policy,) = role["Policies"]
    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": {
                "Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:"
                "log-group:/aws/lambda/digits-dev:*"
            },
        }
    ]
    assert "ManagedPolicyArns" not in role
    (group,) = of_type(template, "AWS::Logs::LogGroup")
    assert group["LogGroupName"] == "/aws/lambda/digits-dev"


def test_what_is_deployed_is_our_zip_behind_a_route_that_asks_for_signatures(packaged: Osls) -> None:
    template = packaged.template()
    (function,) = of_type(template, "AWS::Lambda::Function")
    wanted = {"Runtime": "python3.13", "Architectures": ["arm64"], "Handler": "lambda_handler.handler"}
    assert {k: function[k] for k in wanted} == wanted
    (route,) = of_type(template, "AWS::ApiGatewayV2::Route")
    assert (route["RouteKey"], route["AuthorizationType"]) == ("POST /predict", "AWS_IAM")
    metrics = {a.get("MetricName", "Errors") for a in of_type(template, "AWS::CloudWatch::Alarm")}
    assert metrics == {"Errors", "Throttles", "Duration"}
    with zipfile.ZipFile(packaged.folder / ".serverless-build" / "digits.zip") as packed:
        names = set(packed.namelist())
        assert packed.read("lambda_handler.py") == (ROOT / "handlers" / "lambda_handler.py").read_bytes()
    assert {"app/handler.py", "model/digits.onnx", "model/clouddeploy.json"} <= names
    assert packaged.hosts() == set()


def test_a_packager_that_fails_ends_the_deploy_with_its_own_words(osls: Osls) -> None:
    (osls.folder / "model" / "digits.onnx").write_bytes(b"no model")
    output = osls.run("deploy", fails=True)
    assert "clouddeploy package model --target lambda" in output
    assert "digits.onnx" in output
    assert osls.left()["stacks"] == []


def test_osls_finds_nothing_wrong_with_the_configuration(osls: Osls) -> None:
    assert "Invalid configuration" not in osls.run("package")
    path = osls.folder / "serverless.yml"
    path.write_text(path.read_text().replace("memorySize:", "memorysize:"))
    assert "Invalid configuration" in osls.run("package")


def test_the_zip_is_packed_for_the_runtime_that_serverless_yml_names(packaged: Osls) -> None:
    """``examples/serverless/clouddeploy.toml`` and serverless.yml must say the same."""
    (function,) = of_type(packaged.template(), "AWS::Lambda::Function")
    with zipfile.ZipFile(packaged.folder / ".serverless-build" / "digits.zip") as packed:
        made = json.loads(packed.read("clouddeploy-packages.json"))
    assert function["Runtime"] == f"python{made['python']}"
    assert function["Architectures"] == [made["architecture"]]
    wish = config.load(ROOT / "examples" / "serverless")
    assert (wish.name, wish.target) == ("digits", "lambda")
    assert function["MemorySize"] == wish.wish["compute"].memory_mb


def test_no_registry_stands_in_the_lock() -> None:
    folder = ROOT / "tools" / "osls"
    lock = json.loads((folder / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/osls"]["version"] == "4.3.1"
    assert json.loads((folder / "package.json").read_text())["devDependencies"] == {"osls": "4.3.1"}
    for name, package in lock["packages"].items():
        assert "resolved" not in package, name
        assert "integrity" in package or not name, name
