"""Reserved and provisioned concurrency: what is refused, what is throttled, what is started beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.emulator.conftest import refused
from tests.emulator.functions.conftest import Functions

SLOW = "import time\ndef go(event, context):\n    time.sleep(0.6)\n"
KIND = "import os\ndef go(event, context):\n    return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n"
DIMENSION = "lambda:function:ProvisionedConcurrency"


@pytest.fixture
def live(functions: Functions) -> str:
    """A function with version 1 and the alias ``live``."""
    name = functions.make(KIND)
    functions.publish(name)
    functions.api.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


def ready(functions: Functions, name: str, qualifier: str = "live") -> dict[str, Any]:
    """The provisioned concurrency once it is settled."""
    while True:
        found: dict[str, Any] = functions.api.get_provisioned_concurrency_config(
            FunctionName=name, Qualifier=qualifier
        )
        if found["Status"] != "IN_PROGRESS":
            return found
        time.sleep(0.02)


def test_more_than_reserved_is_throttled(functions: Functions) -> None:
    """Lambda Developer Guide, "Configuring reserved concurrency"; Invoke: TooManyRequestsException."""
    name = functions.make(SLOW)
    functions.api.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert functions.api.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 1
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(functions.ask, name)
        while not functions.processes(name):
            time.sleep(0.02)
        refusal = refused(functions.api.invoke, FunctionName=name)
        assert first.result().error is None
    assert (refusal.code, refusal.status) == ("TooManyRequestsException", 429)
    assert refusal.body["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    found = functions.rig.watch.get_metric_statistics(
        Namespace="AWS/Lambda", MetricName="Throttles", Period=3600, Statistics=["Sum"],
        Dimensions=[{"Name": "FunctionName", "Value": name}],
        StartTime=time.time() - 3600, EndTime=time.time() + 60,
    )["Datapoints"]  # fmt: skip
    assert sum(point["Sum"] for point in found) == 1
    functions.api.delete_function_concurrency(FunctionName=name)
    assert "ReservedConcurrentExecutions" not in functions.api.get_function_concurrency(FunctionName=name)


def test_zero_reserved_stops_a_function(functions: Functions) -> None:
    name = functions.make()
    functions.api.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert refused(functions.api.invoke, FunctionName=name).status == 429


def test_the_account_has_a_limit(functions: Functions, settings: Callable[..., None]) -> None:
    """Lambda Developer Guide, "Lambda quotas": concurrent executions."""
    name = functions.make()
    settings(function_concurrency=0)
    refusal = refused(functions.api.invoke, FunctionName=name)
    assert refusal.body["Reason"] == "ConcurrentInvocationLimitExceeded"


def test_a_hundred_stay_unreserved(functions: Functions) -> None:
    """Lambda Developer Guide, "Configuring reserved concurrency": 100 are kept for other functions."""
    name = functions.make()
    before = functions.api.get_account_settings()
    free = before["AccountLimit"]["UnreservedConcurrentExecutions"]
    assert before["AccountLimit"]["ConcurrentExecutions"] == 1000
    assert before["AccountUsage"]["FunctionCount"] >= 1
    put = functions.api.put_function_concurrency
    refusal = refused(put, FunctionName=name, ReservedConcurrentExecutions=free - 99)
    assert refusal.code == "InvalidParameterValueException"
    assert refusal.message.endswith("below its minimum value of [100].")
    put(FunctionName=name, ReservedConcurrentExecutions=free - 100)
    after = functions.api.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    functions.api.delete_function_concurrency(FunctionName=name)
    assert after == 100


def test_provisioned_processes_are_started_beforehand(functions: Functions, live: str) -> None:
    """Lambda Developer Guide, "Configuring provisioned concurrency for a function"."""
    made = functions.api.put_provisioned_concurrency_config(
        FunctionName=live, Qualifier="live", ProvisionedConcurrentExecutions=2
    )
    assert made["Status"] == "IN_PROGRESS"
    assert ready(functions, live)["AvailableProvisionedConcurrentExecutions"] == 2
    assert [p["provisioned"] for p in functions.processes(live)] == [True, True]
    answer = functions.ask(live, Qualifier="live")
    assert answer.body == "provisioned-concurrency"
    assert answer.log.startswith("START RequestId")
    listed = functions.api.list_provisioned_concurrency_configs(FunctionName=live)
    assert len(listed["ProvisionedConcurrencyConfigs"]) == 1
    functions.api.delete_provisioned_concurrency_config(FunctionName=live, Qualifier="live")
    assert functions.processes(live) == []
    refusal = refused(functions.api.get_provisioned_concurrency_config, FunctionName=live, Qualifier="live")
    assert refusal.code == "ProvisionedConcurrencyConfigNotFoundException"


def test_provisioned_processes_follow_the_alias(functions: Functions, live: str) -> None:
    functions.api.put_provisioned_concurrency_config(
        FunctionName=live, Qualifier="live", ProvisionedConcurrentExecutions=1
    )
    ready(functions, live)
    functions.change(live, KIND + "\n")
    assert functions.publish(live) == "2"
    functions.api.update_alias(FunctionName=live, Name="live", FunctionVersion="2")
    assert ready(functions, live)["Status"] == "READY"
    assert [p["version"] for p in functions.processes(live)] == ["2"]


def test_a_function_that_cannot_start_fails_to_provision(functions: Functions) -> None:
    name = functions.make("import nowhere_at_all\n")
    functions.publish(name)
    functions.api.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=1
    )
    found = ready(functions, name, "1")
    assert (found["Status"], found["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")


def test_bad_provisioned_concurrency_is_refused(functions: Functions, live: str) -> None:
    """Lambda API Reference, PutProvisionedConcurrencyConfig; not for ``$LATEST``, one per version."""
    put = functions.api.put_provisioned_concurrency_config
    refusal = refused(put, FunctionName=live, Qualifier="$LATEST", ProvisionedConcurrentExecutions=1)
    assert "unpublished" in refusal.message
    assert refused(put, FunctionName=live, Qualifier="no", ProvisionedConcurrentExecutions=1).status == 404
    assert refused(put, FunctionName=live, Qualifier="live", ProvisionedConcurrentExecutions=1000)
    functions.api.put_function_concurrency(FunctionName=live, ReservedConcurrentExecutions=1)
    refusal = refused(put, FunctionName=live, Qualifier="live", ProvisionedConcurrentExecutions=2)
    assert "reservedConcurrentExecution" in refusal.message
    put(FunctionName=live, Qualifier="live", ProvisionedConcurrentExecutions=1)
    ready(functions, live)
    assert (
        "already Provisioned"
        in refused(put, FunctionName=live, Qualifier="1", ProvisionedConcurrentExecutions=1).message
    )
    lower = {"FunctionName": live, "ReservedConcurrentExecutions": 0}
    assert refused(functions.api.put_function_concurrency, **lower).code == "InvalidParameterValueException"


def test_application_auto_scaling(functions: Functions, live: str) -> None:
    """Lambda Developer Guide, "Managing provisioned concurrency with Application Auto Scaling"."""
    scaling = functions.rig.scaling
    target = {
        "ServiceNamespace": "lambda",
        "ResourceId": f"function:{live}:live",
        "ScalableDimension": DIMENSION,
    }
    wrong = {**target, "ResourceId": f"function:{live}:nobody"}
    assert refused(scaling.register_scalable_target, **wrong, MinCapacity=1, MaxCapacity=2)
    assert refused(scaling.register_scalable_target, **target, MinCapacity=3, MaxCapacity=2)
    policy = {
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 0.7,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"
            },
        },
    }
    assert refused(scaling.put_scaling_policy, **target, **policy).code == "ObjectNotFoundException"
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    assert ready(functions, live)["RequestedProvisionedConcurrentExecutions"] == 1
    made = scaling.put_scaling_policy(**target, **policy)
    assert len(made["Alarms"]) == 2
    alarm = functions.rig.watch.describe_alarms(AlarmNames=[made["Alarms"][0]["AlarmName"]])["MetricAlarms"][
        0
    ]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "ProvisionedConcurrencyUtilization")
    assert {"Name": "Resource", "Value": f"{live}:live"} in alarm["Dimensions"]
    high = policy["TargetTrackingScalingPolicyConfiguration"]
    assert isinstance(high, dict)
    too_high = {**policy, "TargetTrackingScalingPolicyConfiguration": {**high, "TargetValue": 70.0}}
    assert refused(scaling.put_scaling_policy, **target, **too_high)
    scaling.put_scheduled_action(
        **target, ScheduledActionName="night", Schedule="cron(0 22 * * ? *)",
        ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 1},
    )  # fmt: skip
    for found, member in (
        (scaling.describe_scalable_targets(ServiceNamespace="lambda"), "ScalableTargets"),
        (scaling.describe_scaling_policies(ServiceNamespace="lambda"), "ScalingPolicies"),
        (scaling.describe_scheduled_actions(ServiceNamespace="lambda"), "ScheduledActions"),
    ):
        assert target["ResourceId"] in [item["ResourceId"] for item in found[member]]
    other = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert target["ResourceId"] not in [p["ResourceId"] for p in other]
    scaling.deregister_scalable_target(**target)


def test_an_alias_that_shares_its_requests_takes_no_provisioned_concurrency(
    functions: Functions, live: str
) -> None:
    """PutProvisionedConcurrencyConfig: InvalidParameterValueException; what was asked for before stays."""
    functions.api.put_provisioned_concurrency_config(
        FunctionName=live, Qualifier="live", ProvisionedConcurrentExecutions=1
    )
    functions.change(live, SLOW)
    functions.publish(live)
    functions.api.update_alias(
        FunctionName=live, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}}
    )
    refusal = refused(
        functions.api.put_provisioned_concurrency_config,
        FunctionName=live, Qualifier="live", ProvisionedConcurrentExecutions=2,
    )  # fmt: skip
    assert (refusal.code, refusal.status) == ("InvalidParameterValueException", 400)
    assert "Alias with weights" in refusal.message
    found = ready(functions, live)
    assert (found["Status"], found["RequestedProvisionedConcurrentExecutions"]) == ("READY", 1)
