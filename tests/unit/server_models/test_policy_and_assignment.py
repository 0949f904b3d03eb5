"""Which versions are loaded, and who gets which."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.errors import SpecError
from clouddeploy.server.message import Head, Request
from clouddeploy.server.models.assignment import check_sticky, draw, key_of, pick
from clouddeploy.server.models.policy import Policy, newest_first

KEYS = [f"user-{i}" for i in range(4000)]


def request(headers: dict[str, str] | None = None, body: bytes = b"{}") -> Request:
    head = Head("POST", "/predict", "", headers or {}, len(body), keep=True, version="1.1", expects=False)
    return Request(head, body)


@pytest.mark.parametrize(
    ("text", "there", "chosen"),
    [
        ("latest", ["1", "2", "10"], {"10"}),
        ("latest:2", ["1", "2", "10"], {"2", "10"}),
        ("latest:9", ["1"], {"1"}),
        ("all", ["1", "2"], {"1", "2"}),
        ("1,3", ["1", "2", "3"], {"1", "3"}),
        ("7", ["1"], set()),
        ("latest", [], set()),
    ],
)
def test_a_policy_chooses_among_what_is_there(text: str, there: list[str], chosen: set[str]) -> None:
    assert Policy.parse(text).choose(there) == chosen


@pytest.mark.parametrize("text", ["", "latest:0", "latest:x", "all:2", "newest", "1,x", "-1"])
def test_what_is_no_policy_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(SpecError, match="latest:N, all"):
        Policy.parse(text)


def test_versions_are_ordered_as_numbers_and_names_after_them() -> None:
    assert newest_first(["9", "10", "1", "blue"]) == ["blue", "10", "9", "1"]


def test_weights_are_kept_over_many_keys() -> None:
    counts = Counter(pick("m", "", key, {"1": 90.0, "2": 10.0}) for key in KEYS)
    assert 0.07 < counts["2"] / len(KEYS) < 0.13


def test_a_key_gets_the_same_version_in_every_process() -> None:
    weights = {"1": 50.0, "2": 30.0, "3": 20.0}
    code = (
        "from clouddeploy.server.models.assignment import pick\n"
        f"print([pick('m', 's', f'user-{{i}}', {weights}) for i in range(200)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([pick("m", "s", key, weights) for key in KEYS[:200]])


def test_the_assignment_never_changes_from_release_to_release() -> None:
    weights = {"1": 50.0, "2": 30.0, "3": 20.0}
    assert "".join(pick("digits", "", f"user-{i}", weights) for i in range(24)) == "312122333132213111122111"


@given(
    st.lists(st.floats(1, 100), min_size=2, max_size=5),
    st.integers(0, 4),
    st.floats(1.01, 10),
    st.text(min_size=1),
)
def test_who_moves_moves_only_to_the_version_whose_weight_grew(
    weights: list[float], grows: int, factor: float, key: str
) -> None:
    before = {str(i): weight for i, weight in enumerate(weights)}
    version = str(grows % len(weights))
    after = {**before, version: before[version] * factor}
    assert pick("m", "", key, after) in (pick("m", "", key, before), version)


@given(st.sets(st.integers(1, 9), min_size=2), st.text())
def test_when_a_version_goes_only_its_own_keys_move(versions: set[int], key: str) -> None:
    weights = {str(v): 100 / len(versions) for v in versions}
    chosen = pick("m", "", key, weights)
    gone = next(v for v in weights if v != chosen)
    assert pick("m", "", key, {v: w for v, w in weights.items() if v != gone}) == chosen


def test_another_salt_deals_anew() -> None:
    weights = {"1": 50.0, "2": 50.0}
    same = sum(pick("m", "a", key, weights) == pick("m", "b", key, weights) for key in KEYS)
    assert 0.4 < same / len(KEYS) < 0.6


def test_chance_keeps_the_weights_too() -> None:
    counts = Counter(draw({"1": 75.0, "2": 25.0}) for _ in KEYS)
    assert 0.2 < counts["2"] / len(KEYS) < 0.3


@pytest.mark.parametrize(
    ("sticky", "asked", "key"),
    [
        ("header:X-User", request({"x-user": "ann"}), "ann"),
        ("header:x-user", request({}), None),
        ("header:x-user", request({"x-user": ""}), None),
        ("cookie:uid", request({"cookie": "a=1; uid=b%20c; z=2"}), "b c"),
        ("cookie:uid", request({"cookie": "xuid=1"}), None),
        ("field:parameters.user", request(body=b'{"parameters": {"user": "ann"}}'), "ann"),
        ("field:user", request(body=b'{"user": 7}'), "7"),
        ("field:user", request(body=b'{"user": [7]}'), None),
        ("field:user", request(body=b'{"user": null}'), None),
        ("field:user", request(body=b"\xff not json"), None),
        ("field:user", request(body=b"[" * 100_000), None),
        ("", request({"x-user": "ann"}), None),
    ],
)
def test_the_key_is_found_where_it_was_said(sticky: str, asked: Request, key: str | None) -> None:
    assert key_of(check_sticky(sticky), asked) == key


@pytest.mark.parametrize("text", ["user", "header:", "body:x", "header"])
def test_what_says_no_place_of_a_key_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="header:<name>"):
        check_sticky(text)
