"""What goes wrong for users: a clear error, and nothing is created."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy import Autoscaling, Compute, Deployer, Model
from clouddeploy.emulator.server import Emulator
from clouddeploy.engine.apply import apply
from clouddeploy.engine.plan import make_plan
from clouddeploy.errors import (
    CloudDeployError,
    CredentialsError,
    DeployFailed,
    DeploymentLocked,
    InputError,
    ModelChanged,
    NameConflict,
    NotSupported,
    SpecError,
    TargetError,
    Timeout,
)
from clouddeploy.spec import Deployment
from clouddeploy.testing.inventory import aws_inventory
from clouddeploy.testing.models import linear_model
from clouddeploy.testing.plugin import Cloud


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return linear_model(tmp_path)


@pytest.fixture
def unchanged(cloud: Cloud) -> Iterator[None]:
    """Fails when the test left anything in the cloud."""
    yield
    assert aws_inventory(cloud.url, cloud.region) == {}


@pytest.mark.usefixtures("unchanged")
class TestNothingIsCreated:
    def test_without_credentials(self, cloud: Cloud, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(CredentialsError, match="credentials"):
            Deployer("sagemaker", region="eu-west-1").deploy(model, "digits")

    def test_without_a_region(self, cloud: Cloud, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.delenv("AWS_REGION")
        with pytest.raises(CredentialsError, match="region"):
            Deployer("sagemaker").deploy(model, "digits")

    def test_on_an_unknown_target(self, cloud: Cloud) -> None:
        with pytest.raises(TargetError, match="did you mean 'sagemaker'"):
            Deployer("sagemeker")

    def test_with_an_option_that_the_target_does_not_know(self, cloud: Cloud) -> None:
        with pytest.raises(SpecError, match="colour"):
            Deployer("sagemaker", colour="red")

    def test_for_an_unknown_machine_type(self, cloud: Cloud, model: Model) -> None:
        with pytest.raises(SpecError, match=r"did you mean 'ml\.m5\.large'"):
            cloud.deployer().deploy(model, "digits", compute=Compute(instance="ml.m5.lagre"))

    def test_for_a_model_larger_than_the_machine(self, cloud: Cloud, tmp_path: Path) -> None:
        folder = tmp_path / "huge"
        folder.mkdir()
        with (folder / "weights.bin").open("wb") as file:
            file.truncate(1100 << 20)
        handler = tmp_path / "handler.py"
        handler.write_text("def load(model_dir): pass\ndef predict(inputs): return inputs\n")
        model = Model.from_folder(folder, handler=handler, check=False)
        with pytest.raises(SpecError, match="memory"):
            cloud.deployer().deploy(model, "digits", compute=Compute(memory_mb=1024), strict=True)

    def test_when_strict_and_the_target_cannot(self, cloud: Cloud, model: Model) -> None:
        wish: dict[str, Any] = {"autoscaling": Autoscaling(min=0, max=2, requests_per_minute=60)}
        with pytest.raises(NotSupported, match=r"autoscaling\.min"):
            cloud.deployer().plan(model, "digits", strict=True, **wish)

    def test_when_the_model_changed_since_it_was_read(self, cloud: Cloud, tmp_path: Path) -> None:
        model = linear_model(tmp_path)
        np.save(tmp_path / "weights-1" / "weights.npy", np.zeros((4, 3), np.float32))
        with pytest.raises((ModelChanged, DeployFailed), match="changed"):
            cloud.deployer().deploy(model, "digits")


def test_an_endpoint_that_is_not_ours_is_left_alone(cloud: Cloud, model: Model) -> None:
    import boto3

    sagemaker, iam = boto3.client("sagemaker"), boto3.client("iam")
    deployer = cloud.deployer()
    deployer.deploy(model, "ours")
    found = sagemaker.describe_endpoint(EndpointName="ours")
    sagemaker.create_endpoint(EndpointName="foreign", EndpointConfigName=found["EndpointConfigName"])
    before = aws_inventory(cloud.url, cloud.region)
    with pytest.raises(NameConflict, match="foreign"):
        deployer.deploy(model, "foreign")
    assert aws_inventory(cloud.url, cloud.region) == before
    assert iam.list_roles()["Roles"]


@pytest.mark.parametrize("shape", [(2, 5), (2,), (2, 4, 1)])
def test_a_wrong_shape_is_told_by_the_endpoint(cloud: Cloud, model: Model, shape: tuple[int, ...]) -> None:
    endpoint = cloud.deployer().deploy(model, "digits")
    with pytest.raises(CloudDeployError):
        endpoint.predict(np.zeros(shape, np.float32))
    assert endpoint.predict(np.zeros((1, 4), np.float32)).shape == (1, 3)


def test_a_body_over_the_limit_is_refused_before_it_is_sent(cloud: Cloud, model: Model) -> None:
    endpoint = cloud.deployer().deploy(model, "digits")
    with pytest.raises(InputError, match="6") as caught:
        endpoint.predict_raw(b"0" * 100_000_000)
    assert caught.value.status == 413


def test_a_new_role_that_is_not_yet_assumable_is_waited_for(tmp_path: Path) -> None:
    with Emulator() as emulator:
        emulator.configure(role_ready_after_calls=2)
        endpoint = Cloud(emulator.url).deployer(poll_s=0.0).deploy(linear_model(tmp_path), "digits")
        assert endpoint.status().phase == "ready"


def test_an_endpoint_that_never_becomes_ready_is_a_timeout_and_not_a_failure(tmp_path: Path) -> None:
    with Emulator() as emulator:
        emulator.configure(creating_s=3600)
        provider = Cloud(emulator.url).deployer(poll_s=0.05).provider
        graph = provider.compile(Deployment(name="slow", model=linear_model(tmp_path)))
        plan = make_plan(graph.resources, stale=graph.stale())
        with pytest.raises(CloudDeployError, match="limit") as caught:
            apply(plan, timeout_s=2, undo_timeout_s=1)
        assert isinstance(caught.value.__cause__, Timeout)


def test_two_deploys_of_one_name_at_once_end_as_one_after_the_other(cloud: Cloud, tmp_path: Path) -> None:
    models = [linear_model(tmp_path, factor) for factor in (1.0, 2.0)]
    outcomes: list[object] = []

    def deploy(model: Model) -> None:
        try:
            outcomes.append(cloud.deployer().deploy(model, "digits"))
        except CloudDeployError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=deploy, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [o for o in outcomes if isinstance(o, CloudDeployError)]
    assert all(isinstance(error, DeploymentLocked) for error in failed), failed
    assert len(failed) < 2
    cloud.deployer().deploy(models[0], "digits")
    cloud.deployer().delete("digits")
    assert aws_inventory(cloud.url, cloud.region) == {}


def test_no_plan_shows_the_values_of_environment_variables(cloud: Cloud, model: Model) -> None:
    deployer = cloud.deployer()
    for token in ("first-token", "second-token"):
        plan = deployer.plan(model, "digits", env={"TOKEN": token})
        told = f"{plan} {plan.to_dict()} {plan._repr_html_()}"
        assert "TOKEN" in told
        assert token not in told
        deployer.deploy(model, "digits", env={"TOKEN": token})
