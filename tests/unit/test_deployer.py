"""The front door, on the in-memory provider."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from clouddeploy import Autoscaling, Deployer, Deployment, Model, Status, registry
from clouddeploy.engine.events import Event
from clouddeploy.errors import (
    CloudDeployError,
    CloudError,
    DeployFailed,
    DeploymentLocked,
    ModelError,
    NotFound,
    NotSupported,
    SpecError,
    TargetError,
    Timeout,
)
from clouddeploy.providers.memory.cloud import MemoryCloud
from clouddeploy.testing.faults import Fault, Faulty
from clouddeploy.testing.models import broken_model, linear_model

BATCH = np.ones((2, 4), np.float32)


@pytest.fixture
def cloud() -> MemoryCloud:
    return MemoryCloud()


@pytest.fixture
def deployer(cloud: MemoryCloud) -> Deployer:
    return Deployer("memory", cloud=cloud)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return linear_model(tmp_path)


def test_a_deployment_made_beforehand_is_the_same_as_its_parts(deployer: Deployer, model: Model) -> None:
    whole = Deployment(name="digits", model=model, autoscaling=Autoscaling(min=1, max=2))
    deployer.deploy_deployment(whole)
    assert not deployer.plan(model, "digits", autoscaling=Autoscaling(min=1, max=2)).changes


def test_progress_is_told_as_events(deployer: Deployer, model: Model) -> None:
    events: list[Event] = []
    deployer.deploy(model, "digits", on_event=events.append)
    assert {"step-started", "step-done"} <= {e.kind for e in events}


def test_strict_turns_what_the_target_cannot_do_into_an_error(deployer: Deployer, model: Model) -> None:
    wish = {"env": {"A": "1"}}
    findings = deployer.plan(model, "digits", **wish).findings
    assert any(f.support == "impossible" for f in findings)
    with pytest.raises(NotSupported, match="env"):
        deployer.deploy(model, "digits", strict=True, **wish)


def test_requirements_that_do_not_exist_fail_before_anything_is_created(
    cloud: MemoryCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clouddeploy.packaging import check_requirements

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    deployer = Deployer("memory", cloud=cloud)
    deployer.provider.preflight = lambda d: check_requirements(d.model.requirements)  # type: ignore[method-assign]
    folder = tmp_path / "weights"
    folder.mkdir()
    (tmp_path / "handler.py").write_text("def load(model_dir): pass\ndef predict(inputs): return inputs\n")
    model = Model.from_folder(
        folder, handler=tmp_path / "handler.py", requirements=["no-such-thing==9"], check=False
    )
    with pytest.raises(ModelError, match="no-such-thing==9"):
        deployer.deploy(model, "digits")
    assert cloud.inventory() == {}


def test_a_secret_among_the_files_is_warned_about_in_the_plan(deployer: Deployer, tmp_path: Path) -> None:
    model = linear_model(tmp_path)
    (tmp_path / "weights-1" / "server.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    leaky = Model.from_folder(tmp_path / "weights-1", handler=tmp_path / "handler.py")
    assert model.digest != leaky.digest
    plan = deployer.plan(leaky, "digits")
    assert any("server.pem" in text for text in plan.warnings)
    assert "warning: " in str(plan)
    assert plan.to_dict()["warnings"]


def test_a_removal_is_planned_before_it_is_done(deployer: Deployer, model: Model, cloud: MemoryCloud) -> None:
    deployer.deploy(model, "digits")
    plan = deployer.plan_removal("digits")
    assert plan.counts()["delete"] == len(plan.steps) > 0
    assert cloud.inventory()
    deployer.delete("digits")
    assert cloud.inventory() == {}


def test_a_failed_first_deploy_leaves_not_even_its_lock(
    deployer: Deployer, cloud: MemoryCloud, tmp_path: Path
) -> None:
    with pytest.raises(DeployFailed):
        deployer.deploy(broken_model(tmp_path / "b", "load"), "digits")
    assert cloud.inventory() == {}


def test_the_lock_is_given_back_when_even_the_status_cannot_be_read(
    cloud: MemoryCloud, model: Model, tmp_path: Path
) -> None:
    Deployer("memory", cloud=cloud).deploy(model, "digits")
    breaking = Deployer("memory", cloud=cloud)
    client = breaking.provider.client  # type: ignore[attr-defined]
    inner = client.transport

    def transport(service: str, operation: str, params: dict[str, object]) -> object:
        if operation == "UpdateEndpoint":
            client.transport = Faulty(inner, at=0, fault=Fault.RESET, times=1000)
            raise ConnectionResetError("gone")
        return inner(service, operation, params)

    client.transport = transport
    with pytest.raises(CloudDeployError):
        breaking.deploy(linear_model(tmp_path, 3.0), "digits")
    Deployer("memory", cloud=cloud).deploy(linear_model(tmp_path, 3.0), "digits")


def test_a_deploy_meets_the_lock_of_another(cloud: MemoryCloud, deployer: Deployer, model: Model) -> None:
    lock = deployer.provider.compile(Deployment(name="digits", model=model)).lock
    lock.acquire(lock.peek())
    with pytest.raises(DeploymentLocked):
        Deployer("memory", cloud=cloud).deploy(model, "digits")
    lock.release(forget=True)
    Deployer("memory", cloud=cloud).deploy(model, "digits")


def test_a_rollback_to_an_unknown_release_says_so(deployer: Deployer, model: Model) -> None:
    deployer.deploy(model, "digits")
    with pytest.raises(NotFound, match="nothing-like-it"):
        deployer.rollback("digits", "nothing-like-it")


def test_a_number_of_copies_is_no_policy(deployer: Deployer, model: Model) -> None:
    deployer.deploy(model, "it")
    with pytest.raises(SpecError, match="autoscaling is 3"):
        deployer.scale("it", 3)  # type: ignore[arg-type]


def test_waiting_returns_the_ready_endpoint_and_names_what_is_missing(
    deployer: Deployer, model: Model
) -> None:
    endpoint = deployer.deploy(model, "digits")
    assert endpoint.wait() is endpoint
    with pytest.raises(NotFound, match="'other'"):
        deployer.endpoint("other").wait()


def test_waiting_for_a_failed_endpoint_tells_why(
    cloud: MemoryCloud, deployer: Deployer, model: Model
) -> None:
    deployer.deploy(model, "digits")
    cloud._items["Endpoint", "digits"].status = "Failed"
    with pytest.raises(CloudError, match="digits"):
        deployer.endpoint("digits").wait()


@dataclass
class Slow:
    """A provider whose endpoint never gets ready."""

    def status(self, name: str) -> Status:
        return Status("creating", "Creating")


def test_waiting_too_long_is_a_timeout_that_names_the_state(deployer: Deployer) -> None:
    deployer.provider = Slow()  # type: ignore[assignment]
    with pytest.raises(Timeout, match="still Creating"):
        deployer.endpoint("digits").wait(timeout_s=0.02, poll_s=0.01)


def test_the_handle_draws_itself_and_says_where_it_runs(deployer: Deployer, model: Model) -> None:
    endpoint = deployer.deploy(model, "digits")
    assert repr(endpoint) == "Endpoint('digits' on memory)"
    assert "ready" in endpoint._repr_html_()
    with pytest.raises(SpecError, match="not on SageMaker"):
        endpoint.to_sagemaker()


def test_an_unknown_target_lists_those_installed() -> None:
    with pytest.raises(TargetError) as caught:
        Deployer("nowhere")
    assert "memory" in caught.value.why
    assert "sagemaker" in registry.targets()


def test_an_option_that_the_target_does_not_take_is_named() -> None:
    with pytest.raises(SpecError, match="colour"):
        Deployer("memory", colour="red")


def test_a_missing_library_is_told_with_the_command_that_installs_it() -> None:
    error = registry.missing("sagemaker", ModuleNotFoundError("No module named 'boto3'", name="boto3"))
    assert error.fix == "pip install 'clouddeploy[aws]'"
    assert "'boto3'" in error.what
