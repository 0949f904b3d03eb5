"""The frozen nouns: what they take, and what they say when they don't."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.errors import SpecError
from clouddeploy.spec import (
    Access,
    Alarm,
    Autoscaling,
    Compute,
    Deployment,
    Schedule,
    check_name,
    check_shares,
    digest_of,
    suggest,
)


@dataclasses.dataclass
class Weights:
    """Stands for a model where only its digest matters."""

    digest: str = "d" * 64


def deployment(**wish: Any) -> Deployment:
    return Deployment(name="digits", model=Weights(), **wish)  # type: ignore[arg-type]


WRONG: list[tuple[Callable[[], object], str, str]] = [
    (lambda: Compute(instance=""), "Compute.instance", "machine type"),
    (lambda: Compute(memory_mb=64), "Compute.memory_mb is 64", "128 to 1,048,576 MiB"),
    (lambda: Compute(memory_mb=True), "Compute.memory_mb is True", "whole number"),
    (lambda: Compute(memory_mb=1.5), "Compute.memory_mb is 1.5", "whole number"),  # type: ignore[arg-type]
    (lambda: Compute(architecture="arm"), "Compute.architecture is 'arm'", "did you mean 'arm64'"),  # type: ignore[arg-type]
    (lambda: Compute(timeout_s=0), "Compute.timeout_s is 0", "1 to 3,600 seconds"),
    (lambda: Compute(startup_timeout_s=1), "Compute.startup_timeout_s is 1", "60 to 3,600 seconds"),
    (lambda: Compute(max_concurrency=0), "Compute.max_concurrency is 0", "1 to 1,000"),
    (lambda: Autoscaling(min=5, max=2), "Autoscaling.min is 5 and max is 2", "set max to 5"),
    (lambda: Autoscaling(min=-1), "Autoscaling.min is -1", "from 0"),
    (lambda: Autoscaling(max=0), "Autoscaling.max is 0", "from 1"),
    (lambda: Autoscaling(cpu=70), "Autoscaling.cpu is 70", "a share, not percent"),
    (lambda: Autoscaling(utilization=0.95), "Autoscaling.utilization is 0.95", "0.1 to 0.9"),
    (lambda: Autoscaling(concurrency=math.nan), "Autoscaling.concurrency is nan", "a number"),
    (lambda: Autoscaling(requests_per_minute=60, cpu=0.5), "2 targets", "keep one"),
    (lambda: Autoscaling(scale_in_cooldown_s=9999), "scale_in_cooldown_s is 9999", "0 to 3,600"),
    (lambda: Schedule(cron="* *", min=1), "Schedule.cron is '* *'", "five fields"),
    (lambda: Schedule(cron="0 8 * * *"), "Schedule changes nothing", "give one"),
    (lambda: Access(subnets=("subnet-1",)), "without the other", "give both"),
    (lambda: Access(cors_origins=("https://a/c",)), "cors_origins has 'https://a/c'", "scheme and a host"),
    (lambda: Alarm(metric="errors", above=1), "Alarm.metric is 'errors'", "errors_5xx"),  # type: ignore[arg-type]
    (lambda: Alarm(metric="latency_ms", above=-1), "Alarm.above is -1", "0 or more"),
    (lambda: Alarm(metric="latency_ms", above=1, minutes=0), "Alarm.minutes is 0", "1 to 60"),
    (lambda: deployment(env={"A B": "1"}), "the key 'A B'", "letters, digits"),
    (lambda: deployment(env={"A": 1}), "Deployment.env['A'] is 1", "text"),
    (lambda: deployment(tags={"clouddeploy:x": "1"}), "reserved key", "rename"),
    (lambda: deployment(tags={str(i): "" for i in range(41)}), "41 keys", "at most 40"),
    (lambda: deployment(compression="zip"), "Deployment.compression is 'zip'", "'gzip'"),
    (lambda: deployment(keep_releases=-1), "keep_releases is -1", "0 to 20"),
    (lambda: deployment(timeout_s=5), "timeout_s is 5", "60 to 14,400"),
    (
        lambda: deployment(alarms=[Alarm(metric="errors_5xx", above=n) for n in (1, 2)]),
        "one metric twice",
        "keep one",
    ),
]


@pytest.mark.parametrize(("make", "what", "mend"), WRONG, ids=[w[1] for w in WRONG])
def test_a_wrong_value_names_field_value_and_what_is_allowed(
    make: Callable[[], object], what: str, mend: str
) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert what in caught.value.what
    assert mend in str(caught.value)
    assert caught.value.fix


def test_everything_is_frozen() -> None:
    for noun in (Compute(), Autoscaling(), Access(), Alarm(metric="errors_5xx", above=1), deployment()):
        field = dataclasses.fields(noun)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(noun, field, "x")
    with pytest.raises(TypeError):
        deployment(env={"A": "1"}).env["A"] = "2"  # type: ignore[index]


def test_the_wish_tells_everything_and_the_model_by_its_digest() -> None:
    wish = deployment(compute=Compute(memory_mb=2048), env={"A": "1"}).wish()
    assert wish["model"] == "d" * 64
    assert wish["compute"]["memory_mb"] == 2048
    assert {f.name for f in dataclasses.fields(Deployment)} == set(wish)
    digest_of(wish)


@pytest.mark.parametrize("name", ["a", "digits", "digits-2", "0", "a" * 63])
def test_a_name_that_every_target_takes_is_kept_as_it_is(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "better"),
    [("My_Model", "my-model"), ("a--b", "a-b"), ("-a-", "a"), ("über", "ber"), ("a" * 64, "a" * 63)],
)
def test_a_name_that_some_target_refuses_is_refused_with_a_better_one(name: str, better: str) -> None:
    with pytest.raises(SpecError, match=f"name it '{better}'"):
        check_name(name)


@given(st.text(max_size=80))
def test_what_is_suggested_for_a_bad_name_is_itself_good(name: str) -> None:
    try:
        check_name(name)
    except SpecError as error:
        if error.fix.startswith("name it "):
            check_name(error.fix.removeprefix("name it ").strip("'"))


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain, max_size=5))
def test_a_digest_ignores_the_order_of_keys(value: dict[str, Any]) -> None:
    assert digest_of(value) == digest_of(dict(reversed(value.items())))


@given(st.lists(st.text() | st.integers()), st.lists(st.text() | st.integers()))
def test_different_values_have_different_digests(one: list[Any], other: list[Any]) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)


def test_a_near_word_is_suggested_and_a_far_one_is_not() -> None:
    assert suggest("sagemeker", ["sagemaker", "lambda"]) == "; did you mean 'sagemaker'?"
    assert suggest("xyz", ["sagemaker", "lambda"]) == ""


@pytest.mark.parametrize(
    ("wish", "told", "fix"),
    [
        ({"model": "digits.pt2"}, "Deployment.model is 'digits.pt2'", "Model.from_file('digits.pt2')"),
        ({"model": Path("digits.pt2")}, "Deployment.model is", "Model.from_file('digits.pt2')"),
        ({"compute": "ml.m5.large"}, "Deployment.compute is 'ml.m5.large'", "Compute("),
        ({"autoscaling": 3}, "Deployment.autoscaling is 3", "Autoscaling("),
        ({"access": True}, "Deployment.access is True", "Access("),
        ({"env": None}, "Deployment.env is None", "env="),
        ({"env": ["A=1"]}, "Deployment.env is ['A=1']", "env="),
        ({"tags": "a"}, "Deployment.tags is 'a'", "tags="),
        ({"alarms": Alarm(metric="errors_5xx", above=1)}, "Deployment.alarms is", "("),
        ({"alarms": ["errors_5xx"]}, "Deployment.alarms", "Alarm("),
    ],
)
def test_a_field_of_another_kind_is_refused_by_its_name(wish: dict[str, Any], told: str, fix: str) -> None:
    with pytest.raises(SpecError) as caught:
        Deployment(**{"name": "digits", "model": Weights(), **wish})
    assert told in caught.value.what
    assert fix in caught.value.fix


@pytest.mark.parametrize("shares", ["x", None, ["abcd"], 100])
def test_shares_that_are_no_mapping_are_refused(shares: Any) -> None:
    with pytest.raises(SpecError, match="shares"):
        check_shares(shares)
