from __future__ import annotations

import json
import threading

import pytest

from clouddeploy.engine import Action, Cost, Finding, Resource, make_plan, make_removal
from clouddeploy.errors import NameConflict
from tests.unit.engine.acting import Acting, fail


def test_what_is_missing_is_created_what_differs_updated_and_what_is_right_kept() -> None:
    plan = make_plan(
        [
            Acting("role/a"),
            Acting("endpoint/b", actual={"size": 0}),
            Acting("bucket/c", actual={"size": 1, "owner": "us"}),
            Acting("model/d", actual={"size": 0}, immutable=frozenset({"size"})),
        ]
    )
    assert {step.key: step.action for step in plan.steps} == {
        "role/a": Action.CREATE,
        "endpoint/b": Action.UPDATE,
        "bucket/c": Action.KEEP,
        "model/d": Action.REPLACE,
    }
    assert plan.steps[1].changes == {"size": (0, 1)}
    assert plan.counts() == {"create": 1, "update": 1, "replace": 1, "delete": 0, "keep": 1}
    assert plan.changes


def test_steps_follow_the_needs_and_deletes_come_last_in_reverse() -> None:
    plan = make_plan(
        [Acting("c", needs=("b",)), Acting("a"), Acting("b", needs=("a",))],
        stale=[Acting("old-a"), Acting("old-b", needs=("old-a", "already-gone"))],
    )
    assert [step.key for step in plan.steps] == ["a", "b", "c", "old-b", "old-a"]


def test_what_is_wished_for_is_never_stale() -> None:
    plan = make_plan([Acting("a", actual={"size": 1})], stale=[Acting("a")])
    assert [step.action for step in plan.steps] == [Action.KEEP]


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ([Acting("a"), Acting("a")], "two resources have the key 'a'"),
        ([Acting("a", needs=("b",))], "'a' needs 'b', which is not in the graph"),
        ([Acting("a", needs=("b",)), Acting("b", needs=("a",))], "in a circle: "),
    ],
)
def test_a_graph_that_is_none_is_refused(resources: list[Acting], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_plan(resources)


def test_reads_run_at_the_same_time() -> None:
    together = threading.Barrier(3)
    resources = [Acting(f"a/{n}", on_read=lambda: _meet(together)) for n in range(3)]
    assert len(make_plan(resources, workers=3).steps) == 3


def _meet(barrier: threading.Barrier) -> None:
    barrier.wait(timeout=20)


def test_a_failing_read_fails_the_plan_with_the_first_error_in_order() -> None:
    resources = [Acting("a"), Acting("b", on_read=fail(NameConflict("b is foreign")))]
    with pytest.raises(NameConflict, match="b is foreign"):
        make_plan(resources)


def test_a_removal_makes_no_call() -> None:
    plan = make_removal([Acting("a", on_read=fail(AssertionError("read"))), Acting("b", needs=("a",))])
    assert [(step.action, step.key) for step in plan.steps] == [(Action.DELETE, "b"), (Action.DELETE, "a")]


def test_frozen_dataclasses_and_plain_classes_are_resources() -> None:
    assert isinstance(Acting("a"), Resource)


def digits() -> list[Acting]:
    return [
        Acting("role/clouddeploy-digits"),
        Acting(
            "endpoint/digits",
            actual={"endpoint_config": "digits-aaaa", "copies": None},
            wish={"endpoint_config": "digits-bbbb", "copies": 2},
        ),
        Acting("bucket/clouddeploy-1234", actual={"size": 1}),
    ]


def test_a_plan_reads_as_text_that_needs_no_explanation() -> None:
    plan = make_plan(
        digits(),
        stale=[Acting("endpoint-config/digits-0000")],
        title="digits on sagemaker (eu-west-1)",
        findings=[
            Finding("autoscaling.min", "approximated", "at least one copy runs", "use serverless"),
            Finding("compute.instance", "exact", "as asked", ""),
        ],
        costs=[
            Cost("endpoint/digits", 0.115, "list price of November 2026"),
            Cost("bucket/clouddeploy-1234", None, "only use is charged"),
            Cost("elsewhere", 0.005, ""),
        ],
    )
    assert str(plan).splitlines() == [
        "digits on sagemaker (eu-west-1)",
        "  + role             clouddeploy-digits",
        "  ~ endpoint         digits",
        "      endpoint_config: digits-aaaa -> digits-bbbb",
        "      copies: (none) -> 2",
        "  = bucket           clouddeploy-1234    unchanged",
        "  - endpoint config  digits-0000         no longer needed",
        "note: autoscaling.min: approximated: at least one copy runs; use serverless",
        "cost: $0.115 per hour for endpoint digits (list price of November 2026)",
        "cost: bucket clouddeploy-1234 (only use is charged)",
        "cost: $0.005 per hour for elsewhere",
        "cost: $0.12 per hour in all",
        "1 to create, 1 to update, 1 to delete, 1 unchanged",
    ]


def test_a_replacement_says_which_field_forces_it() -> None:
    plan = make_plan([Acting("model/m", actual={"size": 0}, immutable=frozenset({"size"}))])
    assert str(plan).splitlines() == [
        "  -/+ model  m  size can't change in place",
        "        size: 0 -> 1",
        "1 to replace",
    ]


def test_a_plan_with_nothing_to_do_says_why() -> None:
    kept = [Acting(f"a/{n}", actual={"size": 1}) for n in range(7)]
    assert str(make_plan(kept)).endswith("nothing to do: all 7 resources are as asked")
    assert str(make_plan(kept[:1])).endswith("nothing to do: the one resource is as asked")
    assert str(make_removal([], title="remove x")) == "remove x\nnothing to do: nothing is there"
    assert not make_plan(kept).changes


def test_long_values_are_shortened_in_text_and_whole_in_json() -> None:
    long = "begin-" + "x" * 200 + "-end"
    plan = make_plan([Acting("a/b", actual={"policy": long}, wish={"policy": {"Allow": [long]}})])
    assert max(map(len, str(plan).splitlines())) < 160
    assert "begin-" in str(plan)
    assert "-end" in str(plan)
    assert plan.to_dict()["steps"][0]["changes"] == {"policy": {"now": long, "then": {"Allow": [long]}}}


def test_the_json_form_is_plain_and_complete() -> None:
    resources = digits()
    resources[0].wish = {"tags": frozenset({"b", "a"}), "pair": (1, 2.5), "raw": b"x", "none": None}
    resources[1].needs = ("role/clouddeploy-digits",)
    plan = make_plan(resources, title="t", findings=[Finding("f", "impossible", "r", "m")])
    shape = json.loads(json.dumps(plan.to_dict(), allow_nan=False))
    assert shape["counts"] == {"create": 1, "update": 1, "replace": 0, "delete": 0, "keep": 1}
    assert shape["changes"] is True
    assert shape["summary"] == "1 to create, 1 to update, 1 unchanged"
    assert shape["findings"] == [{"field": "f", "support": "impossible", "reason": "r", "mend": "m"}]
    by_key = {step["key"]: step for step in shape["steps"]}
    assert by_key["role/clouddeploy-digits"]["changes"] == {
        "tags": {"now": None, "then": ["a", "b"]},
        "pair": {"now": None, "then": [1, 2.5]},
        "raw": {"now": None, "then": "b'x'"},
    }
    assert by_key["endpoint/digits"]["needs"] == ["role/clouddeploy-digits"]
    assert by_key["endpoint/digits"]["name"] == "digits"


def test_a_notebook_gets_one_escaped_element_without_script_or_style_sheet() -> None:
    evil = "<script>alert(1)</script>"
    plan = make_plan(
        [Acting(f"a/{evil}", actual={"size": 0}, wish={"size": evil})],
        title=evil,
        findings=[Finding(evil, "approximated", evil, evil)],
        costs=[Cost(evil, 1.0, evil)],
    )
    html = plan._repr_html_()
    assert evil not in html
    assert html.count("&lt;script&gt;") >= 5
    assert "<style" not in html
    assert html.startswith('<div class="clouddeploy-plan"')
    assert html.count("<div") == html.count("</div>")
    assert "1 to update" in html
    assert "nothing to do" in make_removal([])._repr_html_()
