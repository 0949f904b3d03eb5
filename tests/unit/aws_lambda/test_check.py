"""What Lambda makes of a wish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import date
from typing import Any

import pytest

from clouddeploy.errors import SpecError
from clouddeploy.providers.aws_lambda.check import check
from clouddeploy.providers.aws_lambda.concurrency import reserved
from clouddeploy.providers.aws_lambda.costs import costs
from clouddeploy.providers.aws_lambda.mapping import AUTOSCALING
from clouddeploy.providers.aws_lambda.options import Options
from clouddeploy.providers.aws_lambda.runtimes import DEPRECATED, finding
from clouddeploy.providers.aws_lambda.scaling import is_scaled, kept_running, tracking_rule
from clouddeploy.spec import Access, Alarm, Autoscaling, Compute, Deployment, Schedule

Wish = Callable[..., Deployment]
TODAY = date(2026, 11, 25)


def found(deployment: Deployment, **options: Any) -> dict[str, str]:
    """Support by field."""
    return {f.field: f.support for f in check(deployment, Options(**options), today=TODAY)}


def test_a_plain_wish_has_only_the_start_to_tell(wish: Wish) -> None:
    assert found(wish()) == {"autoscaling.min": "approximated"}
    assert found(wish(autoscaling=Autoscaling(min=0))) == {}


@pytest.mark.parametrize(
    ("fields", "options", "text"),
    [
        ({"compute": Compute(memory_mb=10_241)}, {}, "10,240"),
        ({"compute": Compute(timeout_s=901)}, {}, "900"),
        ({}, {"ephemeral_mb": 511}, "512"),
        ({}, {"ephemeral_mb": 10_241}, "10,240"),
        ({"env": {"AWS_REGION": "x"}}, {}, "AWS_REGION"),
        ({"env": {"_X": "x"}}, {}, "_X"),
        ({"env": {"A": "x"}}, {}, "two characters"),
        ({"env": {"LONG": "x" * 4100}}, {}, "4,096"),
        ({}, {"url": "public"}, "public"),
        ({}, {"runtime": "nodejs22.x"}, "nodejs22.x"),
        ({}, {"snap_start": True, "runtime": "python3.11"}, "python3.11"),
        ({}, {"snap_start": True, "image": "x:1"}, "image"),
        ({}, {"snap_start": True, "ephemeral_mb": 1024}, "/tmp"),
        ({"autoscaling": Autoscaling(min=2, max=2)}, {"snap_start": True}, "provisioned"),
        ({}, {"reserved_concurrency": 0}, "1 or more"),
        ({"compute": Compute(max_concurrency=3)}, {"reserved_concurrency": 4}, "max_concurrency"),
        ({"autoscaling": Autoscaling(min=2, max=9)}, {"reserved_concurrency": 8}, "9 copies"),
        ({"autoscaling": Autoscaling(schedules=(Schedule(cron="0 8 1 * 1", min=1),))}, {}, "cron"),
        (
            {"autoscaling": Autoscaling(schedules=(Schedule(cron="0 8 * * 1", min=1, timezone="Mars"),))},
            {},
            "Mars",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_value(
    wish: Wish, fields: dict[str, Any], options: dict[str, Any], text: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check(wish(**fields), Options(**options), today=TODAY)
    assert text in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize(
    "options",
    [
        {"url": "everyone"},
        {"retention_days": 15},
        {"on_failure": "my-queue"},
        {"on_failure": "arn:aws:dynamodb:eu-west-1:123456789012:x"},
    ],
)
def test_an_option_with_a_value_that_aws_does_not_know_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        Options(**options)


@pytest.mark.parametrize("target", [{"cpu": 0.5}, {"requests_per_minute": 60}, {"concurrency": 2}])
def test_targets_that_a_function_does_not_have_are_impossible(wish: Wish, target: dict[str, Any]) -> None:
    (name,) = target
    assert found(wish(autoscaling=Autoscaling(min=1, max=4, **target)))[f"autoscaling.{name}"] == "impossible"


def test_what_lambda_does_otherwise_is_told(wish: Wish) -> None:
    deployment = wish(
        compute=Compute(instance="ml.m5.large"),
        compression="none",
        access=Access(kms_key="arn:aws:kms:x", public=True),
        alarms=(Alarm(metric="errors_4xx", above=1), Alarm(metric="latency_ms", above=1)),
    )
    told = found(deployment, url="public")
    assert told["compute.instance"] == told["compression"] == "impossible"
    assert told["alarms.errors_4xx"] == told["access.kms_key"] == told["alarms.latency_ms"] == "approximated"


def test_public_access_without_a_public_url_is_told(wish: Wish) -> None:
    assert found(wish(access=Access(public=True)))["access.public"] == "impossible"
    assert "access.public" not in found(wish(access=Access(public=True)), url="public")


def test_public_access_by_an_http_api_is_had_and_its_shorter_time_is_told(wish: Wish) -> None:
    public = wish(access=Access(public=True), compute=Compute(timeout_s=30))
    assert found(public, http_api=True)["access.public"] == "approximated"
    assert "access.public" not in found(public, http_api=True, url="none")
    assert found(public, url="none")["access.public"] == "impossible"
    assert "compute.timeout_s" not in found(public, http_api=True)
    assert found(wish(compute=Compute(timeout_s=31)), http_api=True)["compute.timeout_s"] == "approximated"


def test_an_http_api_is_asked_for_by_true_or_false() -> None:
    with pytest.raises(SpecError, match="http_api is 'yes'"):
        Options(http_api="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [f.name for f in fields(Autoscaling)])
def test_the_table_of_the_policys_fields_agrees_with_what_a_wish_is_told(wish: Wish, name: str) -> None:
    values: dict[str, Autoscaling] = {
        "min": Autoscaling(min=1),
        "max": Autoscaling(min=2, max=4),
        "requests_per_minute": Autoscaling(max=4, requests_per_minute=60),
        "concurrency": Autoscaling(max=4, concurrency=2),
        "cpu": Autoscaling(max=4, cpu=0.5),
        "utilization": Autoscaling(min=2, max=4, utilization=0.5),
        "scale_out_cooldown_s": Autoscaling(min=2, max=4, utilization=0.5, scale_out_cooldown_s=9),
        "scale_in_cooldown_s": Autoscaling(min=2, max=4, utilization=0.5, scale_in_cooldown_s=9),
        "schedules": Autoscaling(min=1, max=4, schedules=(Schedule(cron="0 8 * * *", min=2),)),
    }
    told = found(wish(autoscaling=values[name])).get(f"autoscaling.{name}", "exact")
    assert told == AUTOSCALING[name].support


def test_a_known_runtime_is_quiet_until_it_is_deprecated_and_an_unknown_one_is_told() -> None:
    assert finding("python3.13", TODAY) is None
    for runtime, end in DEPRECATED.items():
        told = finding(runtime, end)
        assert told is not None
        assert str(end) in told.reason
    newer = finding("python3.99", TODAY)
    assert newer is not None
    assert newer.support == "approximated"


def test_every_python_runtime_that_cfn_lint_knows_is_in_the_table_with_its_date() -> None:
    import json
    from importlib.resources import files

    path = files("cfnlint.data.AdditionalSpecs") / "LmbdRuntimeLifecycle.json"
    theirs = {k: v["deprecated"] for k, v in json.loads(path.read_text()).items() if k.startswith("python")}
    assert {k: str(v) for k, v in DEPRECATED.items()} == theirs


@pytest.mark.parametrize(
    ("scaling", "kept", "scaled", "target"),
    [
        (Autoscaling(), 0, False, None),
        (Autoscaling(min=0, max=20), 0, False, None),
        (Autoscaling(min=2, max=2), 2, False, None),
        (Autoscaling(min=1, max=4), 1, True, 0.7),
        (Autoscaling(min=2, max=20, utilization=0.6), 2, True, 0.6),
        (Autoscaling(min=1, max=1, utilization=0.6), 1, False, None),
        (Autoscaling(min=0, max=0 + 1, schedules=(Schedule(cron="0 8 * * *", min=1),)), 0, True, 0.7),
        (Autoscaling(schedules=(Schedule(cron="0 8 * * *", min=1, max=5),)), 1, True, None),
    ],
)
def test_copies_are_kept_running_only_when_asked_for(
    scaling: Autoscaling, kept: int, scaled: bool, target: float | None
) -> None:
    assert (kept_running(scaling), is_scaled(scaling)) == (kept, scaled)
    if scaled:
        rule = tracking_rule(scaling)
        assert (rule["TargetValue"] if rule else None) == target


def test_the_cap_on_requests_is_the_reserved_concurrency(wish: Wish) -> None:
    assert reserved(wish(compute=Compute(max_concurrency=7)), Options()) == 7
    assert reserved(wish(), Options(reserved_concurrency=3)) == 3
    assert reserved(wish(), Options()) is None


def test_copies_kept_running_are_told_as_a_cost_whose_price_is_unknown(wish: Wish) -> None:
    deployment = wish(compute=Compute(memory_mb=2048), autoscaling=Autoscaling(min=3, max=3))
    use, kept = costs(deployment)
    assert (use.usd_per_hour, kept.usd_per_hour) == (None, None)
    assert "3 x 2 GB" in kept.basis
    assert len(costs(wish())) == 1
