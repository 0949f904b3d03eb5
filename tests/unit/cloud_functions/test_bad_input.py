"""What is wrong is told with its cause and its mend, and nothing is created."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions as google

from clouddeploy.engine.apply import apply
from clouddeploy.errors import (
    CloudDeployError,
    CredentialsError,
    DeployFailed,
    LeftBehind,
    NameConflict,
    NotFound,
    QuotaExceeded,
    SpecError,
)
from clouddeploy.model import Model
from clouddeploy.providers.cloud_functions import CloudFunctions
from clouddeploy.spec import Access, Autoscaling, Compute, Deployment
from tests.unit.cloud_functions.conftest import MANY, NAME, WISH, Bench

BUCKET = "clouddeploy-embedded-europe-west1"
SYNTAX = (
    'Step #1 - "build": === Python - Compile (google.python.compile) ===',
    "*** Error compiling '/workspace/app/handler.py'...",
    '  File "/workspace/app/handler.py", line 3',
    "    def predict(",
    "               ^",
    "SyntaxError: '(' was never closed",
)
CONFLICT = (
    "Collecting numpy==1.26.4",
    "ERROR: Cannot install numpy==1.26.4 and numpy==2.0.0 because these package versions have conflicting "
    "dependencies.",
    "ERROR: ResolutionImpossible: for help visit https://pip.pypa.io",
)
NO_MAIN = ("Failure: missing main.py and GOOGLE_FUNCTION_SOURCE not specified.",)


def refused(bench: Bench, model: Model, kind: type[CloudDeployError], **wish: Any) -> CloudDeployError:
    """The error of a deploy that creates nothing."""
    before = bench.inventory()
    with pytest.raises(kind) as caught:
        bench.deployer().deploy(model, NAME, **{**WISH, **wish})
    assert bench.inventory() == before
    return caught.value


def test_without_credentials_the_places_where_they_are_looked_for_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    provider = CloudFunctions(project="p", region="europe-west1", poll_s=0.0)
    with pytest.raises(CredentialsError) as caught:
        provider.status(NAME)
    assert str(caught.value).startswith("no usable Google Cloud credentials: ")
    assert "gcloud auth application-default login" in caught.value.fix


def test_a_project_that_does_not_exist_is_named(bench: Bench, model: Model) -> None:
    bench.set(projects=["another"])
    error = refused_anywhere(bench, model)
    assert isinstance(error, CredentialsError)
    assert error.what == "the project 'embedded' doesn't exist, or these credentials may not use it"


def refused_anywhere(bench: Bench, model: Model) -> CloudDeployError:
    """The error of a deploy to a cloud that can't even be looked at."""
    with pytest.raises(CloudDeployError) as caught:
        bench.deployer().deploy(model, NAME, **WISH)
    assert bench.changing() == []
    return caught.value


def test_a_disabled_api_is_named_with_the_command_that_enables_it(bench: Bench, model: Model) -> None:
    bench.set(disabled_apis=["cloudfunctions.googleapis.com"])
    error = refused_anywhere(bench, model)
    assert isinstance(error, CredentialsError)
    assert error.what.startswith("the API cloudfunctions.googleapis.com is disabled in project ")
    assert "gcloud services enable cloudfunctions.googleapis.com" in error.fix


def test_a_region_without_the_product_is_named(bench: Bench, model: Model) -> None:
    bench.set(unavailable_regions=["europe-west1"])
    error = refused_anywhere(bench, model)
    assert isinstance(error, SpecError)
    assert error.what == (
        "region 'europe-west1' doesn't exist, or cloudfunctions.googleapis.com isn't offered there"
    )


def test_a_quota_that_is_exceeded_is_undone_and_told(bench: Bench, model: Model) -> None:
    def full(service: str, method: str, params: Mapping[str, Any]) -> None:
        if method == "CreateFunction":
            raise google.ResourceExhausted(
                "Quota exceeded for quota metric 'Functions' in region 'europe-west1'."
            )  # type: ignore[no-untyped-call]

    with pytest.raises(DeployFailed) as caught:
        bench.deployer(full).deploy(model, NAME, **WISH)
    assert isinstance(caught.value.__cause__, QuotaExceeded)
    assert "a limit of the project is reached by functions.CreateFunction (Quota" in str(caught.value)
    assert bench.inventory() == {}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (SYNTAX, "File \"/workspace/app/handler.py\", line 3: SyntaxError: '(' was never closed"),
        (CONFLICT, CONFLICT[1]),
        (NO_MAIN, NO_MAIN[0]),
    ],
)
def test_a_build_that_fails_shows_the_line_and_the_end_of_its_log(
    bench: Bench, model: Model, lines: tuple[str, ...], told: str
) -> None:
    bench.plane.build_log = lines
    with pytest.raises(DeployFailed) as caught:
        bench.deployer().deploy(model, NAME, **WISH)
    assert f"the build of function 'digits' failed: {told}" in caught.value.why
    assert caught.value.log_tail == lines
    assert "the whole log: https://console.cloud.google.com/cloud-build/builds" in caught.value.fix
    assert not bench.inventory()


def test_a_build_that_fails_in_an_update_leaves_what_serves(bench: Bench, model: Model, newer: Model) -> None:
    endpoint = bench.deployer().deploy(model, NAME, **WISH)
    before, release = bench.inventory(), endpoint.status().release
    bench.plane.build_log = SYNTAX
    with pytest.raises(DeployFailed, match="SyntaxError"):
        bench.deployer().deploy(newer, NAME, **WISH)
    assert endpoint.traffic == {release: 100}
    assert bench.inventory() == before


def test_a_revision_that_does_not_become_ready_leaves_the_traffic_where_it_was(
    bench: Bench, model: Model, newer: Model
) -> None:
    endpoint = bench.deployer().deploy(model, NAME, **WISH)
    before, release = bench.inventory(), endpoint.status().release
    bench.plane.broken = newer.digest[:12]
    with pytest.raises(DeployFailed) as caught:
        bench.deployer().deploy(newer, NAME, **WISH)
    assert "the new revision of function 'digits' can't serve" in str(caught.value)
    assert caught.value.log_tail == bench.plane.start_log
    assert endpoint.traffic == {release: 100}
    assert bench.inventory() == before
    assert endpoint.predict_raw(b"{}").body.decode().startswith(model.digest[:12])


def test_a_name_that_starts_with_a_digit_is_no_function_s_name(bench: Bench, model: Model) -> None:
    with pytest.raises(SpecError) as caught:
        bench.deployer().deploy(model, "3d-model")
    assert str(caught.value) == (
        "name '3d-model' can't be used for a function\n"
        "  why: Cloud Functions takes a letter first, then lower-case letters, digits and hyphens\n"
        "  fix: name it 'fn-3d-model'"
    )
    assert bench.calls == []


@pytest.mark.parametrize(
    ("memory_mb", "cpu", "nearest"),
    [(512, 4, 2), (8192, 1, 2), (1024, 0.333, 0.583), (2048, 3, 2), (32_768, 2, 8), (2048, 0.9, 1)],
)
def test_a_pair_of_memory_and_processors_that_does_not_exist_names_the_nearest(
    bench: Bench, model: Model, memory_mb: int, cpu: float, nearest: float
) -> None:
    with pytest.raises(SpecError) as caught:
        bench.deployer(cpu=cpu).deploy(model, NAME, compute=Compute(memory_mb=memory_mb))
    assert caught.value.what == f"cpu is {cpu:g} and memory is {memory_mb:,} MiB, a pair that doesn't exist"
    assert caught.value.fix == f"the nearest pair: cpu={nearest:g} with memory_mb={memory_mb}"
    assert bench.calls == []


def test_memory_beyond_what_a_function_has_is_refused(bench: Bench, model: Model) -> None:
    error = refused(bench, model, SpecError, compute=Compute(memory_mb=65_536))
    assert error.why == "Cloud Functions takes 128 to 32,768 MiB of memory (Quotas, max function memory)"


def test_an_operation_that_never_ends_is_given_up_and_found_again(bench: Bench, model: Model) -> None:
    bench.set(stuck_operations=1)
    deployer = bench.deployer()
    prepared = deployer.prepare(Deployment(name=NAME, model=model, **WISH))
    prepared.graph.lock.acquire(str(prepared.seen))
    with pytest.raises(LeftBehind) as caught:
        apply(prepared.plan, timeout_s=0.4, undo_timeout_s=0.2)
    prepared.graph.lock.release(forget=False)
    assert "the deploy's time limit passed while waiting for function digits to be made" in str(caught.value)
    assert caught.value.fix.endswith("run the same command again: it continues from what is there")
    assert bench.function()["state"] == "DEPLOYING"
    again = bench.deployer().prepare(Deployment(name=NAME, model=model, **WISH))
    again.graph.lock.acquire(str(again.seen))
    with pytest.raises(CloudDeployError, match="function digits to be out of its change"):
        apply(again.plan, timeout_s=0.2, undo_timeout_s=0.2)
    again.graph.lock.release(forget=False)
    assert "CreateFunction" not in [m for _, m in bench.calls]
    bench.function()["state"] = "FAILED"  # as Google ends it, at last
    assert bench.deployer().deploy(model, NAME, **WISH).status().phase == "ready"


def test_a_permission_revoked_in_the_middle_is_named_and_all_is_undone(bench: Bench, model: Model) -> None:
    bench.set(denied={"functions.CreateFunction": -1})
    with pytest.raises(DeployFailed) as caught:
        bench.deployer().deploy(model, NAME, **WISH)
    assert isinstance(caught.value.__cause__, CredentialsError)
    assert "the caller may not call functions.CreateFunction" in str(caught.value)
    assert "cloudfunctions.functions.create" in str(caught.value)
    assert bench.inventory() == {}


def test_a_source_that_somebody_else_wrote_meanwhile_is_not_written_over(bench: Bench, model: Model) -> None:
    seen: list[Any] = []

    def first(service: str, method: str, params: Mapping[str, Any]) -> None:
        if method == "InsertObject" and str(params["name"]).endswith("function.zip"):
            seen.append(params.get("ifGenerationMatch"))
            if len(seen) == 1:
                bench.transport(service, method, params)

    bench.deployer(first).deploy(model, NAME, **WISH)
    assert [str(match) for match in seen] == ["0"]


def test_a_bucket_of_somebody_else_is_left_alone(bench: Bench, model: Model) -> None:
    bench.set(taken_buckets=[BUCKET])
    with pytest.raises(NameConflict) as caught:
        bench.deployer().deploy(model, NAME, **WISH)
    assert str(caught.value) == (
        f"bucket {BUCKET!r} belongs to somebody else\n"
        "  why: bucket names are unique in all of Google Cloud, and another project has one of that name\n"
        "  fix: give a bucket of your own with bucket='...'"
    )
    assert bench.inventory() == {}


def test_a_function_that_is_not_ours_is_left_alone(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH)
    bench.function()["labels"] = {"owner": "somebody"}
    error = refused(bench, model, NameConflict)
    assert error.what == "function 'digits' exists and isn't this deployment's"
    with pytest.raises(NameConflict):
        bench.deployer().rollback(NAME)
    bench.deployer().delete(NAME)
    assert bench.cloud.functions


def test_a_secret_that_does_not_exist_is_found_before_the_first_change(bench: Bench, model: Model) -> None:
    with pytest.raises(NotFound) as caught:
        bench.deployer(secrets={"KEY": "nothing"}).deploy(model, NAME, **WISH)
    assert caught.value.what == "secret 'nothing' doesn't exist"
    assert bench.changing() == []


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"tags": {"Team": "x"}}, "the label key 'Team' isn't allowed on Google Cloud"),
        ({"env": {"K_SERVICE": "x"}}, "the environment variable 'K_SERVICE' can't be set"),
        ({"access": Access(role="arn:aws:iam::1:role/x")}, "Access.role is 'arn:aws:iam::1:role/x'"),
        ({"access": Access(kms_key="key")}, "Access.kms_key is 'key'"),
        ({"autoscaling": Autoscaling(max=1001)}, "Autoscaling.max is 1,001"),
        ({"autoscaling": Autoscaling(max=2, concurrency=601)}, "Autoscaling.concurrency is 601"),
    ],
)
def test_what_no_function_can_be_is_refused_without_a_call(
    bench: Bench, model: Model, wish: dict[str, Any], told: str
) -> None:
    with pytest.raises(SpecError) as caught:
        bench.deployer().deploy(model, NAME, **wish)
    assert caught.value.what == told
    assert bench.calls == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"runtime": "python3.13"}, "runtime is 'python3.13'"),
        ({"ingress": "none"}, "Options.ingress is 'none'"),
        ({"secrets": {"KEY": "a/b"}}, "secrets['KEY'] is 'a/b'"),
        ({"vpc_connector": "mine"}, "vpc_connector is 'mine'"),
        ({"form": "tf"}, "Options.form is 'tf'"),
    ],
)
def test_an_option_that_means_nothing_is_refused_at_once(options: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError) as caught:
        CloudFunctions(project="p", region="europe-west1", **options)
    assert caught.value.what == told


def test_a_small_processor_serves_one_request_at_once(bench: Bench, model: Model) -> None:
    with pytest.raises(SpecError, match=r"cpu is 0\.333 and an instance is to serve 14 requests at once"):
        bench.deployer(cpu=0.333).deploy(model, NAME, **WISH, autoscaling=MANY)
