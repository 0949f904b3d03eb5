"""Updates move traffic only when the new fleet answers, and go back when it doesn't."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.emulator.conftest import TIMES, Rig, code, refused

BROKEN = "def model_fn(model_dir):\n    raise ValueError('weights are gone')\n"
SLOW = "import time\ntime.sleep(0.6)\n" + TIMES.format(factor=3)


def factor(rig: Rig, number: int) -> str:
    """A config for a model that multiplies by `number`."""
    return rig.config(rig.model(code(TIMES.format(factor=number))))


def test_an_update_serves_the_old_version_until_the_new_one_answers(
    rig: Rig, settings: Callable[..., None]
) -> None:
    """API_UpdateEndpoint: Updating, no availability loss, then InService with the new config."""
    settings(settle_s=0)
    name, config = rig.endpoint(), rig.config(rig.model(code(SLOW)))
    rig.sm.update_endpoint(EndpointName=name, EndpointConfigName=config)
    found = rig.sm.describe_endpoint(EndpointName=name)
    assert found["EndpointStatus"] == "Updating"
    assert found["PendingDeploymentSummary"]["EndpointConfigName"] == config
    assert rig.ask(name, [1]) == [2]
    assert refused(rig.sm.delete_endpoint, EndpointName=name).message.startswith("Cannot update in-progress")
    settings(settle_s=1)
    found = rig.settled(name)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", config)
    assert rig.ask(name, [1]) == [3]


def test_no_request_fails_while_an_endpoint_is_updated(rig: Rig) -> None:
    """API_UpdateEndpoint: there is no availability loss."""
    name, config = rig.endpoint(), factor(rig, 5)
    answers: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.extend(rig.ask(name, [1]))

    asking = threading.Thread(target=ask)
    asking.start()
    rig.sm.update_endpoint(EndpointName=name, EndpointConfigName=config)
    rig.settled(name)
    seen = len(answers)
    while len(answers) < seen + 3 and asking.is_alive():
        time.sleep(0.01)
    done.set()
    asking.join()
    assert answers == sorted(answers)
    assert {answers[0], answers[-1]} == {2, 5}


def test_a_failed_update_goes_back_to_the_old_config_and_says_why(
    rig: Rig, settings: Callable[..., None]
) -> None:
    """API_DescribeEndpoint, "EndpointStatus": RollingBack, then InService; FailureReason."""
    settings(rolling_back_s=0.4, settle_s=0)
    old = factor(rig, 7)
    name = rig.endpoint(old)
    rig.sm.update_endpoint(EndpointName=name, EndpointConfigName=rig.config(rig.model(code(BROKEN))))
    seen: list[str] = []
    while not seen or seen[-1] != "InService":
        status = rig.sm.describe_endpoint(EndpointName=name)["EndpointStatus"]
        if status not in seen:
            seen.append(status)
        assert rig.ask(name, [1]) == [7]
        time.sleep(0.02)
    assert seen == ["Updating", "RollingBack", "InService"]
    found = rig.sm.describe_endpoint(EndpointName=name)
    assert found["EndpointConfigName"] == old
    assert "did not pass the ping health check" in found["FailureReason"]
    assert any("weights are gone" in line for line in rig.log(name))


def test_an_alarm_that_goes_off_rolls_the_update_back(rig: Rig, settings: Callable[..., None]) -> None:
    """ "Auto-Rollback Configuration and Monitoring", Amazon SageMaker Developer Guide."""
    settings(updating_s=0.3)
    alarm, old = rig.fresh("alarm"), factor(rig, 2)
    name = rig.endpoint(old)
    rig.watch.put_metric_alarm(
        AlarmName=alarm,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    deployment = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60}
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
    }
    rig.sm.update_endpoint(EndpointName=name, EndpointConfigName=factor(rig, 3), DeploymentConfig=deployment)
    rig.watch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="test")
    found = rig.settled(name)
    assert found["EndpointConfigName"] == old
    assert alarm in found["FailureReason"]
    assert found["LastDeploymentConfig"] == deployment


def test_an_update_to_a_missing_config_or_of_a_missing_endpoint_is_refused(rig: Rig) -> None:
    """API_UpdateEndpoint: Common Errors."""
    name = rig.endpoint()
    assert (
        "configuration"
        in refused(rig.sm.update_endpoint, EndpointName=name, EndpointConfigName="none").message
    )
    assert refused(rig.sm.update_endpoint, EndpointName="none", EndpointConfigName="none").message.startswith(
        "Could not find endpoint"
    )


def test_an_update_that_changes_the_instance_type_of_a_scalable_target_is_refused(rig: Rig) -> None:
    """ "Update endpoints that use automatic scaling", Amazon SageMaker Developer Guide."""
    model = rig.model()
    name = rig.endpoint(rig.config(model))
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/main",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    rig.scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    larger = rig.config(model, InstanceType="ml.m5.xlarge")
    found = refused(rig.sm.update_endpoint, EndpointName=name, EndpointConfigName=larger)
    assert "must be deregistered as scalable target" in found.message
    rig.sm.update_endpoint(EndpointName=name, EndpointConfigName=rig.config(model))
    rig.settled(name)
    rig.scaling.deregister_scalable_target(**target)
    rig.sm.update_endpoint(EndpointName=name, EndpointConfigName=larger)
    assert rig.settled(name)["EndpointConfigName"] == larger


def test_weights_decide_the_traffic_and_a_target_variant_overrules_them(rig: Rig) -> None:
    """API_UpdateEndpointWeightsAndCapacities; API_runtime_InvokeEndpoint, "TargetVariant"."""
    config = rig.fresh("config")
    variants = [
        {
            "VariantName": f"v{number}",
            "ModelName": rig.model(code(TIMES.format(factor=number))),
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": weight,
        }
        for number, weight in ((2, 1.0), (3, 0.0))
    ]
    rig.sm.create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants)
    name = rig.endpoint(config)
    assert {rig.ask(name, [1])[0] for _ in range(20)} == {2}
    assert rig.ask(name, [1], TargetVariant="v3") == [3]
    rig.sm.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "v2", "DesiredWeight": 0},
            {"VariantName": "v3", "DesiredWeight": 5, "DesiredInstanceCount": 2},
        ],
    )
    found = {v["VariantName"]: v for v in rig.settled(name)["ProductionVariants"]}
    assert (found["v3"]["CurrentWeight"], found["v3"]["CurrentInstanceCount"]) == (5, 2)
    assert {rig.ask(name, [1])[0] for _ in range(20)} == {3}
    assert refused(rig.runtime.invoke_endpoint, EndpointName=name, Body=b"{}", TargetVariant="v9").code == (
        "ValidationError"
    )
    found_error = refused(
        rig.sm.update_endpoint_weights_and_capacities,
        EndpointName=name,
        DesiredWeightsAndCapacities=[{"VariantName": "v9", "DesiredWeight": 1}],
    )
    assert "not present" in found_error.message


@pytest.mark.parametrize("retain", [True, False])
def test_properties_changed_since_are_retained_only_when_asked(rig: Rig, retain: bool) -> None:
    """API_UpdateEndpoint, "RetainAllVariantProperties"."""
    model = rig.model()
    name = rig.endpoint(rig.config(model))
    rig.sm.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredInstanceCount": 3}]
    )
    rig.settled(name)
    rig.sm.update_endpoint(
        EndpointName=name, EndpointConfigName=rig.config(model), RetainAllVariantProperties=retain
    )
    assert rig.settled(name)["ProductionVariants"][0]["DesiredInstanceCount"] == (3 if retain else 1)
