from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime import npy
from clouddeploy.runtime.function import Function, UnknownEvent, start
from tests.unit.runtime_function.conftest import Context, MakePackage, http, sqs

GOOD, BAD = '{"inputs":[[1,2]]}', '{"inputs":[["x",2]]}'


def stream(*records: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(records)}


def kinesis(number: str, data: Any) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    return {"eventSource": "aws:kinesis", "kinesis": {"sequenceNumber": number, "data": encoded}}


def dynamodb(number: str, image: Any, name: str = "INSERT") -> dict[str, Any]:
    change = {"SequenceNumber": number} | ({} if image is None else {"NewImage": image})
    return {"eventSource": "aws:dynamodb", "eventName": name, "dynamodb": change}


def again(answer: dict[str, Any]) -> list[str]:
    assert answer.keys() == {"batchItemFailures"}
    return [row["itemIdentifier"] for row in answer["batchItemFailures"]]


def test_a_direct_invocation_is_answered_with_the_wires_object(function: Function) -> None:
    assert function({"inputs": [[1, 2], [0.1, 0]]}, Context()) == {"predictions": [[2.0, 4.0], [0.2, 0.0]]}
    assert function({"input": [1, 2]}, Context()) == {"prediction": [2.0, 4.0]}


def test_a_direct_invocation_and_http_carry_the_same_json(function: Function) -> None:
    event = {"inputs": [[0.1, 1e-7], [3.3333333, 16777217]]}
    posted = function(http(json.dumps(event)), Context())["body"]
    assert json.dumps(function(event, Context()), separators=(",", ":")) == posted


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"inputs": [[float("nan"), 1]]}, "bad_dtype"),
        ({"inputs": 3}, "bad_input"),
        ({"inputs": [[1, 2]], "more": 1}, "bad_input"),
        ({"inputs": [], "input": 1}, "bad_input"),
        ({"inputs": [[1, 2, 3]]}, "bad_shape"),
    ],
)
def test_a_bad_direct_invocation_is_answered_with_the_error(
    event: Any, code: str, function: Function
) -> None:
    assert function(event, Context())["error"]["code"] == code


def test_bytes_of_any_type_go_by_an_envelope(function: Function) -> None:
    body = base64.b64encode(npy.write(np.array([[1, 2]], dtype=np.float32))).decode()
    event = {"body": body, "isBase64Encoded": True, "content_type": "application/x-npy", "accept": "text/csv"}
    answer = function(event, Context())
    assert (answer["statusCode"], answer["body"]) == (200, "2.0,4.0\n")
    plain = function({"body": GOOD, "headers": {"Accept": "application/json"}}, Context())
    assert plain["body"] == '{"predictions":[[2.0,4.0]]}'
    assert function({"body": GOOD, "content_type": 3}, Context())["statusCode"] == 400


@pytest.mark.parametrize(
    "event",
    [{"source": "aws.events", "detail-type": "Scheduled Event"}, {"source": "serverless-plugin-warmup"}],
)
def test_a_ping_that_keeps_warm_predicts_nothing(event: dict[str, Any], package: MakePackage) -> None:
    broken = start(package("def predict(x):\n    raise SystemExit\n"), {})
    assert broken(event, Context()) == {"status": "ok"}


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        7,
        "inputs",
        {},
        {"Records": []},
        {"Records": [{"eventSource": "aws:s3", "s3": {}}]},
        {"Records": "aws:sqs"},
        {"Records": [{"eventSource": ["aws:sqs"]}]},
        {"source": ["aws.events"]},
        {"key1": "value1"},
    ],
)
def test_an_unknown_event_is_an_error_that_lists_what_is_known(event: Any, function: Function) -> None:
    with pytest.raises(UnknownEvent, match=r"known are: an HTTP request .*SQS.*inputs"):
        function(event, Context())


def test_a_queues_failed_messages_alone_are_sent_again(function: Function) -> None:
    assert again(function(sqs(GOOD, BAD, GOOD, 7, None), Context())) == ["m1", "m3", "m4"]
    assert again(function(sqs(GOOD), Context())) == []


def test_after_a_failure_in_a_fifo_queue_all_that_follows_is_sent_again(function: Function) -> None:
    assert again(function(sqs(GOOD, BAD, GOOD, fifo=True), Context())) == ["m1", "m2"]


def test_a_message_names_its_media_type(function: Function, package: MakePackage) -> None:
    attribute = {"Content-Type": {"stringValue": "text/csv", "dataType": "String"}}
    assert again(function(sqs("1,2\n", messageAttributes=attribute), Context())) == []
    assert again(function(sqs("1,2\n"), Context())) == ["m0"]
    csv = start(package(), {"CLOUDDEPLOY_RECORD_CONTENT_TYPE": "text/csv"})
    assert again(csv(sqs("1,2\n"), Context())) == []


def test_a_stream_is_sent_again_from_its_first_failure(function: Function) -> None:
    good, bad = kinesis("1", GOOD.encode()), kinesis("2", BAD.encode())
    assert again(function(stream(good, bad, kinesis("3", b"{}")), Context())) == ["2"]
    assert again(function(stream(good, kinesis("7", "no base64!")), Context())) == ["7"]
    array = npy.write(np.array([[1, 2]], dtype=np.float32))
    assert again(function(stream(good, kinesis("8", array)), Context())) == []


def test_what_a_table_tells_is_predicted_from_its_new_image(
    function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"L": [{"L": [{"N": "1"}, {"N": "2.5"}]}]}
    gone = dynamodb("1", None, "REMOVE")
    seen = dynamodb("2", {"id": {"S": "a"}, "inputs": row})
    assert again(function(stream(gone, seen), Context())) == []
    assert json.loads(capsys.readouterr().out)["batch"] == 1
    assert again(function(stream(seen, dynamodb("3", None)), Context())) == ["3"]
    assert again(function(stream(dynamodb("4", {"inputs": {"X": 1}}), seen), Context())) == ["4"]


def test_a_record_without_identity_fails_the_batch(function: Function) -> None:
    with pytest.raises(UnknownEvent, match=r"Records\[1\] has no messageId"):
        function(stream(sqs(GOOD)["Records"][0], {"eventSource": "aws:sqs", "body": GOOD}), Context())
    with pytest.raises(UnknownEvent, match=r"Records\[1\] is no record of aws:sqs"):
        function(stream(sqs(GOOD)["Records"][0], kinesis("1", b"")), Context())


def test_out_of_time_all_that_is_left_is_sent_again(package: MakePackage) -> None:
    slow = start(package("import time\ndef predict(x):\n    time.sleep(0.3)\n    return x\n"), {})
    assert again(slow(sqs(GOOD, GOOD, GOOD), Context(0.1))) == ["m0", "m1", "m2"]
