from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from clouddeploy.runtime import LoadError
from clouddeploy.runtime.function import start
from tests.unit.runtime_function.conftest import Context, MakePackage, http, sqs

Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_request_is_one_line(package: MakePackage, capsys: Capture) -> None:
    function = start(package(), {})
    assert lines(capsys)[0]["message"] == "the model is loaded"
    function(http('{"inputs":[[1,2],[3,4]]}'), Context(request_id="r-2"))
    (line,) = lines(capsys)
    datetime.fromisoformat(line.pop("timestamp"))
    assert line.pop("ms") > 0
    assert line == {
        "level": "INFO",
        "requestId": "r-2",
        "status": 200,
        "kind": "http",
        "batch": 2,
        "bytes_in": 24,
        "bytes_out": 37,
    }


def test_a_refused_request_says_why(package: MakePackage, capsys: Capture) -> None:
    function = start(package(), {})
    function(http("{"), Context())
    line = lines(capsys)[-1]
    assert (line["level"], line["status"], line["error"]["code"]) == ("WARN", 400, "bad_json")
    assert "trace" not in line


def test_a_batch_is_one_line_and_one_for_each_failed_record(package: MakePackage, capsys: Capture) -> None:
    function = start(package(), {})
    function(sqs('{"inputs":[[1,2]]}', "{"), Context())
    failed, batch = lines(capsys)[1:]
    assert failed["message"] == "record m1 failed"
    assert failed["error"]["code"] == "bad_json"
    assert (batch["kind"], batch["records"], batch["failed"], batch["batch"]) == ("aws:sqs", 2, 1, 1)


def test_metrics_ride_in_the_same_line_when_asked(package: MakePackage, capsys: Capture) -> None:
    function = start(package(), {"CLOUDDEPLOY_METRICS": "on", "AWS_LAMBDA_FUNCTION_NAME": "digits"})
    function(http(), Context())
    line = lines(capsys)[-1]
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "CLOUDDEPLOY"
    assert directive["Dimensions"] == [["FunctionName"]]
    assert line["FunctionName"] == "digits"
    for metric in directive["Metrics"]:
        assert isinstance(line[metric["Name"]], int | float)
    assert (line["Errors"], line["BatchSize"], line["Latency"]) == (0, 1, line["ms"])


@pytest.mark.parametrize(
    ("setting", "body", "names"),
    [
        ("", "{", ["Refusals"]),
        ("", '{"inputs":[[1,2]]}', []),
        ("off", "{", []),
        ("on", "{", ["Latency", "Errors", "Refusals", "BatchSize"]),
    ],
)
def test_what_lambda_does_not_count_is_counted_unless_switched_off(
    setting: str, body: str, names: list[str], package: MakePackage, capsys: Capture
) -> None:
    function = start(package(), {"CLOUDDEPLOY_METRICS": setting, "AWS_LAMBDA_FUNCTION_NAME": "digits"})
    function(http(body), Context())
    line = lines(capsys)[-1]
    told = [m["Name"] for d in line.get("_aws", {}).get("CloudWatchMetrics", ()) for m in d["Metrics"]]
    assert told == names
    if names:
        assert (line["Refusals"], line["Errors"], line["FunctionName"]) == (1, 0, "digits")


@pytest.mark.parametrize(
    "environ",
    [
        {"CLOUDDEPLOY_METRICS": "maybe"},
        {"CLOUDDEPLOY_CORS_ORIGINS": "a.example"},
        {"CLOUDDEPLOY_CORS_ORIGINS": "https://a.example/path"},
        {"CLOUDDEPLOY_RECORD_CONTENT_TYPE": "text/html"},
    ],
)
def test_a_setting_that_is_wrong_ends_init_with_its_name(
    environ: dict[str, str], package: MakePackage, capsys: Capture
) -> None:
    (name,) = environ
    with pytest.raises(LoadError, match=name):
        start(package(), environ)
    assert name in lines(capsys)[0]["message"]
