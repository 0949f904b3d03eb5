from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clouddeploy.runtime.function import Function, UnknownEvent, start
from tests.unit.runtime_function.conftest import Context, http, kept_path, lay_out, rest, sqs

TEXTS = st.text(st.characters(codec=None), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
NAMES = st.sampled_from(
    [
        *("inputs", "input", "body", "headers", "multiValueHeaders", "isBase64Encoded", "httpMethod", "path"),
        *("requestContext", "http", "method", "rawPath", "routeKey", "Records", "eventSource", "source"),
        *(
            "messageId",
            "kinesis",
            "data",
            "sequenceNumber",
            "dynamodb",
            "NewImage",
            "SequenceNumber",
            "N",
            "L",
        ),
        *("content_type", "accept", "messageAttributes", "contentType", "stringValue", "elb", "eventName"),
    ]
)
WORDS = st.sampled_from(["aws:sqs", "aws:kinesis", "aws:dynamodb", "POST", "OPTIONS", "GET", "/ping", "e30="])
VALUES = st.recursive(
    LEAVES | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | TEXTS, inner, max_size=5),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    with kept_path():
        yield start(
            lay_out(tmp_path_factory.mktemp("any") / "p"), {"CLOUDDEPLOY_CORS_ORIGINS": "https://a.b"}
        )


def check(function: Function, event: Any) -> None:
    try:
        answer = function(event, Context())
    except UnknownEvent as error:
        str(error).encode()
        return
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()  # as awslambdaric does
    if "statusCode" in answer:
        assert isinstance(answer["body"], str)
        assert answer["statusCode"] in (200, 204, 400, 405, 406, 413, 415)
    elif "batchItemFailures" in answer:
        assert all(row["itemIdentifier"] for row in answer["batchItemFailures"])
    else:
        assert answer.keys() & {"predictions", "prediction", "error", "status"}


@given(event=VALUES)
@settings(max_examples=300, deadline=None)
def test_any_json_is_answered_or_is_an_unknown_event(event: Any, function: Function) -> None:
    check(function, event)


@given(
    event=st.sampled_from([rest, http, sqs]),
    changes=st.dictionaries(NAMES, VALUES, max_size=4),
    body=VALUES | TEXTS,
)
@settings(max_examples=300, deadline=None)
def test_events_with_any_field_changed_are_answered(
    event: Any, changes: dict[str, Any], body: Any, function: Function
) -> None:
    made = event(body, **changes) if event is sqs else event(body) | changes
    check(function, made)
