"""What is refused or told of a wish before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clouddeploy.errors import SpecError
from clouddeploy.model import Model
from clouddeploy.providers.cloud_run import CloudRun, configuration
from clouddeploy.providers.cloud_run.check import check
from clouddeploy.providers.cloud_run.mapping import AUTOSCALING
from clouddeploy.providers.cloud_run.options import Options
from clouddeploy.providers.cloud_run.sizes import concurrency_of
from clouddeploy.providers.gcp.run.mapping import MENDS
from clouddeploy.spec import Access, Alarm, Autoscaling, Compute, Deployment

Wish = Callable[..., Deployment]
REGION = "europe-west1"


@pytest.mark.parametrize(
    ("options", "fields", "told"),
    [
        ({}, {"compute": Compute(memory_mb=65_536)}, "65536"),
        ({"cpu": 3}, {}, "cpu=2"),
        ({"cpu": 8}, {"compute": Compute(memory_mb=1024)}, "pair"),
        ({"cpu": 1}, {"compute": Compute(memory_mb=8192)}, "cpu=2 with memory_mb=8192"),
        (
            {"cpu": 0.5},
            {"compute": Compute(memory_mb=512), "autoscaling": Autoscaling(concurrency=4)},
            "1 CPU",
        ),
        ({"gpu": "nvidia-l4"}, {"compute": Compute(memory_mb=8192)}, "16384"),
        ({"gpu": "nvidia-l4", "cpu": 2}, {}, "4 CPU"),
        ({}, {"name": "9lives"}, "letter"),
        ({}, {"name": "a" * 50}, "50 characters"),
        ({}, {"env": {"PORT": "1"}}, "reserved"),
        ({}, {"env": {"CLOUDDEPLOY_RELEASE": "1"}}, "reserved"),
        ({"secrets": {"KEY": "k"}}, {"env": {"KEY": "1"}}, "a secret too"),
        ({}, {"access": Access(role="arn:aws:iam::1:role/x")}, "service account"),
        ({}, {"access": Access(kms_key="alias/x")}, "keyRings"),
        ({}, {"autoscaling": Autoscaling(max=2000)}, "1,000"),
        ({}, {"autoscaling": Autoscaling(max=9, concurrency=700)}, "600 or less"),
        ({}, {"tags": {"Team": "x"}}, "label"),
        ({"image": "quay.io/me/server:1"}, {}, "quay.io"),
    ],
)
def test_what_cloud_run_would_refuse_is_refused_here(
    wish: Wish, options: dict[str, Any], fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check(wish(**fields), Options(**options), REGION)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"gpu": "nvidia-l44"}, "did you mean 'nvidia-l4'"),
        ({"ingress": "everywhere"}, "ingress"),
        ({"runtime": "nodejs22"}, "python313"),
        ({"secrets": {"KEY": "projects/p/secrets/k"}}, "without a path"),
        ({"vpc_connector": "mine"}, "whole path"),
        ({"repository": "p/r"}, "id alone"),
        ({"image": "NO image"}, "no name of an image"),
        ({"image": "python:3.13", "base_image": "python:3.13"}, "both given"),
    ],
)
def test_options_that_mean_nothing_are_refused_when_the_deployer_is_made(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(SpecError) as caught:
        CloudRun(**options)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("options", "fields", "told"),
    [
        ({}, {"compute": Compute(instance="n1-standard-1")}, "compute.instance"),
        ({}, {"compute": Compute(architecture="arm64")}, "compute.architecture"),
        ({}, {"compute": Compute(max_concurrency=5)}, "compute.max_concurrency"),
        ({}, {"compute": Compute(startup_timeout_s=900)}, "compute.startup_timeout_s"),
        ({}, {"alarms": (Alarm(metric="errors_5xx", above=1),)}, "alarms.errors_5xx"),
        ({"ingress": "internal"}, {"access": Access(public=True)}, "access.public"),
        ({}, {"access": Access(subnets=("a",), security_groups=("b",))}, "access.subnets"),
        ({"secrets": {"K": "k"}}, {"access": Access(role="me@p.iam.gserviceaccount.com")}, "access.role"),
        ({"gpu": "nvidia-l4"}, {"region": "europe-north1"}, "gpu"),
    ],
)
def test_what_becomes_something_else_is_told(
    wish: Wish, options: dict[str, Any], fields: dict[str, Any], told: str
) -> None:
    region = fields.pop("region", REGION)
    findings = check(wish(**fields), Options(**options), region)
    assert told in {f.field for f in findings}
    assert all(f.reason and f.mend for f in findings)


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"form": "torch"}, "torch-state-dict", True),
        ({"form": "torch"}, "files", False),
        ({"form": "torch", "torch_index": "https://example.com/cpu"}, "torch-state-dict", False),
        ({"form": "torch", "gpu": "nvidia-l4"}, "torch-state-dict", False),
    ],
)
def test_torch_without_an_index_of_wheels_for_the_cpu_is_told_where_it_is_needed(
    wish: Wish, model: Model, options: dict[str, Any], kind: Any, told: bool
) -> None:
    findings = check(wish(model=replace(model, format=kind)), Options(**options), REGION)
    assert ("torch_index" in {f.field for f in findings}) == told


def test_findings_on_autoscaling_agree_with_the_published_mapping(wish: Wish) -> None:
    for name, value in {"concurrency": 8, "cpu": 0.5, "requests_per_minute": 60, "utilization": 0.5}.items():
        findings = check(wish(autoscaling=Autoscaling(max=4, **{name: value})), Options(), REGION)
        (found,) = [f for f in findings if f.field == f"autoscaling.{name}"]
        assert (found.support, found.reason) == (AUTOSCALING[name].support, AUTOSCALING[name].how)
    assert {n for n, m in AUTOSCALING.items() if m.support != "exact"} <= MENDS.keys()


def test_a_concurrency_target_becomes_the_cap_of_which_it_is_sixty_percent() -> None:
    assert [concurrency_of(Autoscaling(concurrency=n), None) for n in (6, 8, 0.5, 600)] == [10, 14, 1, 1000]
    assert concurrency_of(Autoscaling(), None) == 80
    assert concurrency_of(Autoscaling(), 0.5) == 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gpu": "nvidia-l4", "gpu_zonal_redundancy": True},
        {"gpu": "nvidia-l4"},
        {"cpu": 0.5, "secrets": {"KEY": "k:3"}, "ingress": "internal"},
        {"image": "docker.io/me/server:1", "vpc_connector": "projects/p/locations/r/connectors/c"},
    ],
)
def test_what_is_sent_is_read_back_as_it_was_wished(wish: Wish, options: dict[str, Any]) -> None:
    given = Options(**options)
    memory = None if given.gpu else 512
    deployment = wish(
        compute=Compute(memory_mb=memory), env={"A": "1"}, autoscaling=Autoscaling(min=1, max=300)
    )
    digest = "" if given.image else "ab" * 32
    state = configuration.wished(deployment, given, "me@p.iam.gserviceaccount.com", digest, "p")
    sent = configuration.service(state, "digits", given.image or "host/p/r/digits@sha256:00", "p")
    assert configuration.told(sent) == state


def test_the_container_knows_its_project_unless_it_is_told_another(wish: Wish) -> None:
    def env(options: Options, **fields: Any) -> dict[str, str]:
        return dict(configuration.wished(wish(**fields), options, "me@p", "", "p")["env"])

    assert env(Options())["GOOGLE_CLOUD_PROJECT"] == "p"
    assert env(Options(), env={"GOOGLE_CLOUD_PROJECT": "q"})["GOOGLE_CLOUD_PROJECT"] == "q"
    assert "GOOGLE_CLOUD_PROJECT" not in env(Options(secrets={"GOOGLE_CLOUD_PROJECT": "s"}))


def test_a_release_changes_with_what_a_revision_is_made_of_and_with_nothing_else(wish: Wish) -> None:
    def release(digest: str = "ab" * 32, **fields: Any) -> str:
        return str(configuration.wished(wish(**fields), Options(), "me@p", digest, "p")["release"])

    same = release()
    assert release(tags={"team": "x"}) == same
    assert release(autoscaling=Autoscaling(min=3, max=9)) == same
    assert release(access=Access(public=True)) == same
    assert release(env={"A": "1"}) != same
    assert release("cd" * 32) != same
    assert release(autoscaling=Autoscaling(max=9, concurrency=3)) != same
