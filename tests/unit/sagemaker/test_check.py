"""What SageMaker makes of a wish before anything is created."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clouddeploy.errors import SpecError
from clouddeploy.model import Model
from clouddeploy.providers.sagemaker import SageMaker
from clouddeploy.providers.sagemaker.check import check
from clouddeploy.providers.sagemaker.instances import instance, known_types
from clouddeploy.providers.sagemaker.runtime import pins
from clouddeploy.providers.sagemaker.scaling import tracking_rule
from clouddeploy.spec import Access, Autoscaling, Compute, Deployment, Schedule

Wish = Callable[..., Deployment]
SERVERLESS = Compute(memory_mb=2048)


def found(deployment: Deployment) -> dict[str, str]:
    return {f.field: f.support for f in check(deployment)}


def test_a_plain_wish_has_nothing_to_tell_but_the_machine_that_it_gets(wish: Wish) -> None:
    assert found(wish(compute=Compute(instance="ml.m5.large"))) == {}
    assert found(wish()) == {"compute.instance": "exact"}
    assert "ml.m5.large" in check(wish())[0].reason


@pytest.mark.parametrize(
    ("fields", "field", "support"),
    [
        ({"compute": Compute(instance="ml.m5.large", timeout_s=61)}, "compute.timeout_s", "impossible"),
        ({"access": Access(public=True)}, "access.public", "impossible"),
        ({"access": Access(cors_origins=("https://a.example",))}, "access.cors_origins", "impossible"),
        ({"autoscaling": Autoscaling(min=0, max=2, cpu=0.5)}, "autoscaling.min", "impossible"),
        (
            {"autoscaling": Autoscaling(max=2, schedules=(Schedule(cron="0 0 * * *", min=0),))},
            "autoscaling.min",
            "impossible",
        ),
        ({"autoscaling": Autoscaling(max=2, utilization=0.5)}, "autoscaling.utilization", "impossible"),
        (
            {"autoscaling": Autoscaling(requests_per_minute=10)},
            "autoscaling.requests_per_minute",
            "approximated",
        ),
        ({"compute": Compute(instance="ml.inf2.xlarge")}, "compute.instance", "impossible"),
        (
            {"compute": Compute(instance="ml.m5.large", max_concurrency=5)},
            "compute.max_concurrency",
            "impossible",
        ),
        ({"compute": SERVERLESS}, "autoscaling.min", "approximated"),
        ({"compute": SERVERLESS, "compression": "none"}, "compression", "impossible"),
        (
            {"compute": SERVERLESS, "autoscaling": Autoscaling(min=0, max=5, concurrency=2)},
            "autoscaling.concurrency",
            "impossible",
        ),
        (
            {"compute": SERVERLESS, "access": Access(subnets=("s",), security_groups=("g",))},
            "access.subnets",
            "impossible",
        ),
        ({"compute": replace(SERVERLESS, architecture="arm64")}, "compute.architecture", "impossible"),
    ],
)
def test_what_it_can_not_do_is_told_by_field(
    wish: Wish, fields: dict[str, Any], field: str, support: str
) -> None:
    assert found(wish(**fields))[field] == support
    assert all(f.reason and f.mend for f in check(wish(**fields)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"compute": Compute(instance="ml.m5.lage")}, "did you mean 'ml.m5.large'"),
        ({"compute": Compute(instance="m5.large")}, "did you mean 'ml.m5.large'"),
        ({"compute": Compute(instance="large")}, "doesn't have"),
        ({"compute": Compute(memory_mb=1000)}, "1024, 2048"),
        ({"compute": Compute(memory_mb=2048, max_concurrency=201)}, "1 to 200"),
        ({"compute": Compute(instance="ml.m5.large", architecture="arm64")}, "ml.c7g.large"),
        ({"compute": Compute(instance="ml.m5.large", memory_mb=16_384)}, "8192 MiB"),
        ({"autoscaling": Autoscaling(max=2, schedules=(Schedule(cron="0 99 * * *", min=1),))}, "hour '99'"),
        (
            {
                "autoscaling": Autoscaling(
                    max=2, schedules=(Schedule(cron="0 9 * * *", min=1, timezone="Europe/Dubln"),)
                )
            },
            "Europe/Dublin",
        ),
        ({"env": {"A": "x" * 2000}}, "1,024 bytes"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_a_way_out(
    wish: Wish, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        check(wish(**fields))


def test_a_model_that_does_not_fit_into_the_memory_is_refused(wish: Wish, model: Model) -> None:
    large = replace(model, files=(replace(model.files[0], size=9 << 30),))
    with pytest.raises(SpecError, match="8,192 MiB of memory"):
        check(wish(model=large, compute=Compute(instance="ml.m5.large")))
    with pytest.raises(SpecError, match="2,048 MiB of memory"):
        check(wish(model=large, compute=SERVERLESS))
    assert found(wish(model=large, compute=Compute(instance="ml.m5.xlarge"))) == {}


@pytest.mark.parametrize(
    ("format", "framework", "pinned"),
    [
        ("torch-export", ("torch", "2.13.0"), ("torch==2.13.0",)),
        ("torch-export", ("torch", "2.6.1"), ()),
        ("torch-export", ("torch", "2.4.0"), ()),
        ("torch-state-dict", ("torch", "2.13.0"), ()),
        ("files", None, ()),
    ],
)
def test_a_torch_newer_than_the_images_is_pinned_and_told(
    wish: Wish, model: Model, format: Any, framework: tuple[str, str] | None, pinned: tuple[str, ...]
) -> None:
    other = replace(model, format=format, framework=framework)
    assert pins(other) == pinned
    assert ("model" in found(wish(model=other))) == bool(pinned)
    assert pins(replace(other, requirements=("torch>=2",))) == ()


def test_onnx_gets_its_runtime_unless_it_names_one(model: Model) -> None:
    assert pins(replace(model, format="onnx")) == ("onnxruntime>=1.20,<2",)
    assert pins(replace(model, format="onnx", requirements=("onnxruntime==1.23.0",))) == ()


@pytest.mark.parametrize(
    ("scaling", "metric", "value"),
    [
        (Autoscaling(max=4, requests_per_minute=600), "SageMakerVariantInvocationsPerInstance", 600.0),
        (Autoscaling(max=4, concurrency=4), "SageMakerVariantConcurrentRequestsPerModelHighResolution", 4.0),
        (Autoscaling(max=4, cpu=0.5), "CPUUtilization", 200.0),
    ],
)
def test_each_target_becomes_its_metric(wish: Wish, scaling: Autoscaling, metric: str, value: float) -> None:
    rule = tracking_rule("digits", scaling, "ml.m5.xlarge")
    assert rule is not None
    assert metric in str(rule)
    assert rule["TargetValue"] == value
    assert (rule["ScaleOutCooldown"], rule["ScaleInCooldown"]) == (300, 300)


def test_cooldowns_are_taken_as_given() -> None:
    scaling = Autoscaling(max=2, cpu=0.5, scale_out_cooldown_s=0, scale_in_cooldown_s=60)
    rule = tracking_rule("digits", scaling, "ml.m5.large")
    assert rule is not None
    assert (rule["ScaleOutCooldown"], rule["ScaleInCooldown"]) == (0, 60)


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib", "gpus", "architecture"),
    [
        ("ml.m5.large", 2, 8, 0, "x86_64"),
        ("ml.c5.18xlarge", 72, 144, 0, "x86_64"),
        ("ml.r6g.xlarge", 4, 32, 0, "arm64"),
        ("ml.c7g.large", 2, 4, 0, "arm64"),
        ("ml.g5.xlarge", 4, 16, 1, "x86_64"),
        ("ml.g5.48xlarge", 192, 768, 8, "x86_64"),
        ("ml.g4dn.12xlarge", 48, 192, 4, "x86_64"),
        ("ml.p3.2xlarge", 8, 61, 1, "x86_64"),
        ("ml.t2.medium", 2, 4, 0, "x86_64"),
    ],
)
def test_a_machine_types_facts_follow_from_family_and_size(
    name: str, vcpus: int, memory_gib: int, gpus: int, architecture: str
) -> None:
    facts = instance(name)
    assert (facts.vcpus, facts.memory_mb, facts.gpus, facts.architecture) == (
        vcpus,
        memory_gib * 1024,
        gpus,
        architecture,
    )


def test_every_type_that_botocore_knows_has_facts_or_says_that_they_are_unknown() -> None:
    types = known_types()
    assert len(types) > 250
    assert "ml.m5.large" in types
    for name in types:
        facts = instance(name)
        assert (facts.memory_mb is None) == (facts.vcpus is None)
        assert facts.memory_mb is None or 1024 <= facts.memory_mb <= 2_200_000


def test_costs_are_told_with_their_source_or_as_unknown(wish: Wish) -> None:
    provider = SageMaker()
    (cost,) = provider.costs(
        wish(compute=Compute(instance="ml.m5.xlarge"), autoscaling=Autoscaling(min=2, max=4, cpu=0.5))
    )
    assert cost.usd_per_hour == pytest.approx(0.46)
    assert "list price in us-east-1" in cost.basis
    assert "up to 4 for 0.92" in cost.basis
    assert provider.costs(wish(compute=Compute(instance="ml.p5.48xlarge")))[0].usd_per_hour is None
    assert provider.costs(wish(compute=SERVERLESS))[0].usd_per_hour is None


def test_checking_needs_no_credentials_and_no_region(wish: Wish) -> None:
    assert list(SageMaker().check(wish(compute=Compute(instance="ml.m5.large")))) == []
