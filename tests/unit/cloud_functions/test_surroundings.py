"""Secrets, weights in the bucket, findings and costs; and answers that get lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.autoscaling.policy import Concurrency
from clouddeploy.errors import CloudDeployError, DeployFailed, SpecError
from clouddeploy.model import Model
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.remote import RemoteModel
from clouddeploy.providers.cloud_functions import CloudFunctions, sizes
from clouddeploy.providers.cloud_functions.building import line_that_failed
from clouddeploy.providers.cloud_functions.check import check
from clouddeploy.providers.cloud_functions.mapping import AUTOSCALING
from clouddeploy.providers.cloud_functions.options import Options
from clouddeploy.spec import Access, Alarm, Autoscaling, Compute, Deployment, Schedule
from tests.unit.cloud_functions.conftest import MANY, NAME, WISH, Bench, packed

ACCOUNT = "cd-digits-ae3f12@embedded.iam.gserviceaccount.com"


def heavy(model: Model, **options: Any) -> Any:
    """A source whose weights lie beside it."""
    weights = Member.of_bytes("weights.npy", model.digest.encode())
    return replace(packed(model, **options), remote=RemoteModel(weights, (weights,)))


def make_secret(bench: Bench, name: str) -> None:
    import json
    import urllib.request

    for path, body in (
        (f"secrets?secretId={name}", {"replication": {"automatic": {}}}),
        (f"secrets/{name}:addVersion", {"payload": {"data": "c2VjcmV0"}}),
    ):
        request = urllib.request.Request(
            f"{bench.cloud.url}/v1/projects/embedded/{path}",
            json.dumps(body).encode(),
            {"Authorization": "Bearer embedded-cloud", "Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()


def accessors(bench: Bench, name: str) -> list[str]:
    """Who may read a secret."""
    policy = bench.transport(
        "secretmanager", "GetIamPolicy", {"resource": f"projects/embedded/secrets/{name}"}
    )
    return [m for b in policy.get("bindings", ()) for m in b["members"]]


def test_the_account_may_read_just_the_secrets_that_the_function_reads(bench: Bench, model: Model) -> None:
    for name in ("one", "two"):
        make_secret(bench, name)
    bench.deployer(secrets={"A": "one", "B": "two:1"}).deploy(model, NAME, **WISH)
    assert accessors(bench, "one") == accessors(bench, "two") == [f"serviceAccount:{ACCOUNT}"]
    assert not bench.deployer(secrets={"A": "one", "B": "two:1"}).plan(model, NAME, **WISH).changes
    bench.deployer(secrets={"A": "one"}).deploy(model, NAME, **WISH)
    assert (accessors(bench, "one"), accessors(bench, "two")) == ([f"serviceAccount:{ACCOUNT}"], [])
    bench.deployer().delete(NAME)
    assert accessors(bench, "one") == []


def test_large_weights_go_to_the_bucket_and_are_read_by_their_generation(
    bench: Bench, model: Model, newer: Model
) -> None:
    bench.deployer(packager=heavy).deploy(model, NAME, **WISH)
    uri = bench.function()["serviceConfig"]["environmentVariables"]["CLOUDDEPLOY_MODEL"]
    assert uri.startswith("gs://clouddeploy-embedded-europe-west1/_functions/digits/models/")
    assert uri.partition("#")[2].isdigit()
    policy = bench.transport("storage", "GetIamPolicy", {"bucket": "clouddeploy-embedded-europe-west1"})
    (binding,) = [b for b in policy["bindings"] if b["role"] == "roles/storage.objectViewer"]
    assert binding["members"] == [f"serviceAccount:{ACCOUNT}"]
    assert "_functions/digits/models/" in binding["condition"]["expression"]
    assert not bench.deployer(packager=heavy).plan(model, NAME, **WISH).changes
    bench.deployer(packager=heavy).deploy(newer, NAME, **WISH)
    assert len(weights(bench)) == 2, "those of the kept release are read when it serves again"
    bench.deployer(packager=heavy).deploy(newer, NAME, **WISH, keep_releases=0)
    assert len(weights(bench)) == 1
    bench.deployer().delete(NAME)
    assert not bench.inventory()


def weights(bench: Bench) -> list[str]:
    """The objects that hold weights."""
    return [key for key in bench.inventory() if "/models/" in key]


def test_an_account_of_the_user_s_is_neither_made_nor_removed(bench: Bench, model: Model) -> None:
    mine = "mine-own@embedded.iam.gserviceaccount.com"
    with pytest.raises(CloudDeployError, match=f"service account '{mine}' doesn't exist"):
        bench.deployer().deploy(model, NAME, **WISH, access=Access(role=mine))
    created = {"accountId": "mine-own", "serviceAccount": {}}
    bench.transport("iam", "CreateServiceAccount", {"name": "projects/embedded", **created})
    bench.deployer().deploy(model, NAME, **WISH)
    bench.deployer().deploy(model, NAME, **WISH, access=Access(role=mine))
    assert [k for k in bench.inventory() if k.startswith("service-account/")] == [f"service-account/{mine}"]
    bench.deployer().delete(NAME)
    assert f"service-account/{mine}" in bench.inventory()


def test_a_new_account_that_is_not_known_everywhere_is_waited_for(bench: Bench, model: Model) -> None:
    bench.set(account_ready_after_calls=2)
    assert bench.deployer().deploy(model, NAME, **WISH).status().phase == "ready"
    assert [m for _, m in bench.calls].count("CreateFunction") == 3


@pytest.mark.parametrize("act", ["first", "update", "delete"])
def test_every_answer_may_get_lost_once(bench: Bench, model: Model, newer: Model, act: str) -> None:
    lost: set[str] = set()

    def losing(service: str, method: str, params: Mapping[str, Any]) -> None:
        if not method.startswith(("Get", "List", "Download")) and method not in lost:
            lost.add(method)
            bench.transport(service, method, params)
            raise ConnectionResetError("the answer was lost")

    access = Access(public=True)
    if act != "first":
        bench.deployer().deploy(model, NAME, **WISH, access=access)
    if act == "delete":
        bench.deployer(losing).delete(NAME)
        assert not bench.inventory()
        return
    endpoint = bench.deployer(losing).deploy(newer, NAME, **WISH, access=access)
    assert endpoint.predict_raw(b"{}").body.decode().startswith(newer.digest[:12])
    assert not bench.deployer().plan(newer, NAME, **WISH, access=access).changes
    assert lost >= (
        {"CreateFunction", "SetIamPolicy"} if act == "first" else {"UpdateFunction", "UpdateService"}
    )


def test_a_change_that_fails_after_the_update_takes_everything_back(
    bench: Bench, model: Model, newer: Model
) -> None:
    endpoint = bench.deployer().deploy(model, NAME, **WISH)
    bench.deployer().deploy(newer, NAME, **WISH)
    before, release = bench.inventory(), endpoint.status().release
    moved: list[str] = []

    def refusing(service: str, method: str, params: Mapping[str, Any]) -> None:
        if method == "UpdateFunction":
            moved.append(method)
        if method == "UpdateService" and len(moved) == 1:
            from google.api_core.exceptions import PermissionDenied

            raise PermissionDenied("Permission 'run.services.update' denied")  # type: ignore[no-untyped-call]

    with pytest.raises(DeployFailed, match=r"run\.services\.update"):
        bench.deployer(refusing).deploy(model, NAME, **WISH, env={"A": "b"})
    assert endpoint.traffic == {release: 100}
    assert bench.inventory() == before
    assert not bench.deployer().plan(newer, NAME, **WISH).changes


def test_findings_say_of_each_field_of_the_policy_what_the_table_says(model: Model) -> None:
    values: dict[str, Any] = {
        "min": 2,
        "max": 3,
        "requests_per_minute": 60,
        "concurrency": 8,
        "cpu": 0.5,
        "utilization": 0.5,
        "scale_out_cooldown_s": 1,
        "scale_in_cooldown_s": 1,
        "schedules": (Schedule(cron="0 8 * * *", min=1),),
    }
    assert set(values) == set(AUTOSCALING) == {f.name for f in fields(Autoscaling)}
    for name, mapped in AUTOSCALING.items():
        wish = Autoscaling(**{"max": 3, name: values[name]})
        found = {f.field: f for f in check(Deployment(name=NAME, model=model, autoscaling=wish), Options())}
        told = found.get(f"autoscaling.{name}")
        assert (told.support if told else "exact") == mapped.support, name


def test_what_functions_cannot_do_is_said_before_anything_is_made(model: Model) -> None:
    deployment = Deployment(
        name=NAME,
        model=model,
        compute=Compute(instance="n1", architecture="arm64", max_concurrency=3, startup_timeout_s=60),
        access=Access(subnets=("a",), security_groups=("b",)),
        alarms=(Alarm(metric="errors_5xx", above=1),),
        compression="none",
    )
    told = {f.field: f.support for f in check(deployment, Options(runtime="python399"))}
    assert told == {
        "runtime": "approximated",
        "compute.instance": "impossible",
        "compute.architecture": "impossible",
        "compute.max_concurrency": "impossible",
        "compute.startup_timeout_s": "impossible",
        "autoscaling.max": "approximated",
        "access.subnets": "impossible",
        "compression": "impossible",
        "alarms.errors_5xx": "approximated",
    }


@pytest.mark.parametrize(
    ("memory_mb", "cpu"),
    [
        (128, 0.083),
        (256, 0.167),
        (512, 0.333),
        (1024, 0.583),
        (2048, 1),
        (4096, 1),
        (8192, 2),
        (16_384, 4),
        (32_768, 8),
    ],
)
def test_memory_brings_its_processors(memory_mb: int, cpu: float) -> None:
    assert sizes.cpu_of(Compute(memory_mb=memory_mb), None, 1) == cpu
    assert sizes.cpu_of(Compute(memory_mb=memory_mb), None, 2) == max(cpu, 1)


@pytest.mark.parametrize(("target", "cap"), [(8, 14), (6, 10), (0.5, 1), (600, 1000)])
def test_a_concurrency_target_is_sixty_percent_of_the_cap(target: float, cap: int) -> None:
    assert sizes.concurrency_of(Autoscaling(target=Concurrency(target))) == cap


def test_the_price_of_minimum_instances_is_told_where_it_is_known(model: Model) -> None:
    deployment = Deployment(name=NAME, model=model, autoscaling=MANY)
    use, idle = CloudFunctions(project="p", region="europe-west1").costs(deployment)
    assert use.usd_per_hour is None
    assert idle.usd_per_hour == pytest.approx(1 * (1 + 1) * 0.0000025 * 3600)
    (_, elsewhere) = CloudFunctions(project="p", region="asia-east2").costs(deployment)
    assert elsewhere.usd_per_hour is None


def test_the_line_that_failed_is_found_in_what_cloud_build_prints() -> None:
    assert line_that_failed(["fine", "Done"]) == ""
    pip = 'Step #1 - "build": ERROR: No matching distribution found for nosuch==9'
    assert (
        line_that_failed(["Collecting nosuch==9", pip])
        == "ERROR: No matching distribution found for nosuch==9"
    )


def test_the_packager_is_asked_for_what_the_options_say(bench: Bench, model: Model, tmp_path: Path) -> None:
    out = bench.deployer(runtime="python312").package(model, tmp_path / "function.zip")
    assert out.read_text() == f"{model.digest[:12]} 3.12 onnx None 50000000"
    chosen = {"form": "torch", "torch_index": "https://example.com/cpu", "model_bytes_in_zip": 7}
    out = bench.deployer(**chosen).package(model, tmp_path / "function.zip")
    assert out.read_text() == f"{model.digest[:12]} 3.13 torch https://example.com/cpu 7"


def test_a_folder_for_gcloud_has_all_the_weights_in_it(bench: Bench, model: Model, tmp_path: Path) -> None:
    out = bench.deployer(model_bytes_in_zip=7).package(model, tmp_path / "source")
    assert (out / "main.py").read_text().endswith(" 500000000")
    with pytest.raises(SpecError, match="too many for a folder"):
        bench.deployer(packager=heavy).package(model, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("bad", [-1, 500_000_001, True, "50 MB"])
def test_a_share_of_the_weights_that_can_not_be_is_refused(bench: Bench, bad: object) -> None:
    with pytest.raises(SpecError, match="model_bytes_in_zip"):
        bench.deployer(model_bytes_in_zip=bad)
