"""Logs, metrics, labels, names."""

from __future__ import annotations

import re

import pytest

from clouddeploy.errors import SpecError
from clouddeploy.providers.gcp import labels, logs
from clouddeploy.providers.gcp.bucket import bucket_name
from clouddeploy.providers.gcp.metrics import service_metrics
from tests.unit.gcp.refusals import refusal, seam


def test_the_newest_lines_are_asked_for_and_told_oldest_first() -> None:
    gcp, transport = seam(
        {"entries": [{"textPayload": "3\n"}, {"jsonPayload": {"message": "2"}}], "nextPageToken": "t"},
        {"entries": [{"jsonPayload": {"b": 1, "a": 2}}, {"textPayload": "too old"}]},
    )
    assert list(logs.tail(gcp, "digits", since_s=60, limit=3, revision="digits-1")) == [
        '{"a": 2, "b": 1}', "2", "3"
    ]  # fmt: skip
    asked = transport.calls[0][2]
    assert asked["orderBy"] == "timestamp desc"
    assert asked["resourceNames"] == ["projects/digits-project"]
    for part in (
        'service_name="digits"',
        'revision_name="digits-1"',
        'location="europe-west1"',
        "timestamp>=",
    ):
        assert part in asked["filter"]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (
            {"requestMethod": "POST", "requestUrl": "https://x.run.app/predict?key=k", "status": 200}
            | {"latency": "0.012345s"},
            "POST /predict 200 12 ms",
        ),
        (
            {"requestMethod": "GET", "requestUrl": "https://x.run.app", "status": 503},
            "GET / 503 unknown latency",
        ),
    ],
)
def test_an_entry_of_the_request_log_is_told_without_its_query(
    request_: dict[str, object], told: str
) -> None:
    assert logs.text_of({"httpRequest": request_}) == told
    assert logs.text_of({"httpRequest": request_, "jsonPayload": {"message": "mine"}}) == "mine"


def test_no_more_pages_are_read_than_lines_are_wanted() -> None:
    gcp, transport = seam({"entries": [{"textPayload": "1"}], "nextPageToken": "t"})
    assert list(logs.tail(gcp, "digits", since_s=60, limit=2)) == ["1", "1"]
    assert len(transport.calls) == 2


def test_logs_that_can_not_be_read_do_not_hide_the_error_that_they_were_for() -> None:
    gcp, _ = seam(refusal(403, "Permission 'logging.logEntries.list' denied", status="PERMISSION_DENIED"))
    (line,) = logs.last_lines(gcp, "digits")
    assert "logging.logEntries.list" in line
    (line,) = logs.build_lines(gcp, "projects/p/locations/l/builds/0123")
    assert "can't be read" in line


def test_a_builds_lines_are_found_by_its_id() -> None:
    gcp, transport = seam({"entries": [{"textPayload": "ERROR"}]})
    assert logs.build_lines(gcp, "projects/p/locations/l/builds/0123") == ("ERROR",)
    assert 'build_id="0123"' in transport.calls[0][2]["filter"]


def series(points: list[dict[str, object]], kind: str = "") -> dict[str, object]:
    return {"metric": {"labels": {"response_code_class": kind}}, "points": [{"value": p} for p in points]}


def test_metrics_add_up_by_class_and_weigh_latencies_by_count() -> None:
    counts = [
        series([{"int64Value": "10"}, {"int64Value": "5"}], "2xx"),
        series([{"int64Value": "2"}], "4xx"),
        series([{"doubleValue": 1.0}], "5xx"),
    ]
    latencies = [
        series([{"distributionValue": {"count": "9", "mean": 10.0}}]),
        series([{"distributionValue": {"count": "1", "mean": 110.0}}, {"distributionValue": {}}]),
    ]
    gcp, transport = seam({"timeSeries": counts}, {"timeSeries": latencies})
    found = service_metrics(gcp, "digits", since_s=90)
    assert found == {"requests": 18.0, "errors_4xx": 2.0, "errors_5xx": 1.0, "latency_ms": 20.0}
    assert transport.calls[0][2]["aggregation.alignmentPeriod"] == "120s"


def test_metrics_of_a_service_that_was_never_asked_are_zero() -> None:
    gcp, _ = seam({})
    assert set(service_metrics(gcp, "digits", since_s=60).values()) == {0.0}


@pytest.mark.parametrize("text", ["digits", "1f2e3d", "a" * 63, "a" * 64, "Ünïcode/Name", "with.dots"])
def test_label_values_fit_the_rule_and_stay_apart(text: str) -> None:
    found = labels.value_of(text)
    assert re.fullmatch(r"[a-z0-9_-]{0,63}", found)
    assert found != labels.value_of(text + "x")


def test_labels_tell_whose_a_resource_is() -> None:
    made = labels.make_labels({"team": "vision"}, "digits", release="1f2e3d", digest="0" * 64)
    assert labels.is_ours(made, "digits")
    assert not labels.is_ours(made, "letters")
    assert not labels.is_ours(None, "digits")
    assert made["team"] == "vision"
    assert "belongs to deployment 'digits'" in labels.conflict("function", "f", made, "letters", "fix").why


@pytest.mark.parametrize("user", [{"Team": "a"}, {"1a": "b"}, {"a": "B"}, {"a" * 64: ""}, {"a": "b" * 64}])
def test_labels_that_google_refuses_are_refused_beforehand(user: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="label"):
        labels.check_labels(user)


def test_too_many_labels_are_refused() -> None:
    labels.check_labels({f"a{n}": "" for n in range(61)})
    with pytest.raises(SpecError, match="62"):
        labels.check_labels({f"a{n}": "" for n in range(62)})


@pytest.mark.parametrize("project", ["p", "example.com:project", "p" * 30, "long-" * 10])
def test_bucket_names_fit_the_rule(project: str) -> None:
    found = bucket_name(project, "northamerica-northeast1")
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]", found)
    assert found != bucket_name(project + "x", "northamerica-northeast1")
