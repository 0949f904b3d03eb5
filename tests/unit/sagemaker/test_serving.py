"""One request to an endpoint: limits, errors, what is told of them. No network."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clouddeploy.errors import InputError, NotFound, PredictionError
from clouddeploy.providers.sagemaker import SageMaker
from clouddeploy.providers.sagemaker.serving import PHASES

JSON = "application/json"


def provider(answer: Any, seen: list[Mapping[str, Any]] | None = None) -> SageMaker:
    def transport(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if service == "logs":
            return {"events": [{"timestamp": 2, "message": "last\n"}, {"timestamp": 1, "message": "first"}]}
        if seen is not None:
            seen.append(params)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SageMaker(region="eu-west-1", transport=transport, poll_s=0)


def model_error(status: int, message: str) -> ClientError:
    answer: Any = {
        "Error": {"Code": "ModelError", "Message": f"Received error ({status}) from primary"},
        "OriginalStatusCode": status,
        "OriginalMessage": message,
        "ResponseMetadata": {"HTTPStatusCode": 424},
    }
    return ClientError(answer, "InvokeEndpoint")


def ask(target: SageMaker, body: bytes = b"{}") -> Any:
    return target.invoke("digits", body, content_type=JSON, accept=JSON)


def test_an_answer_comes_back_as_it_is_with_its_headers() -> None:
    seen: list[Mapping[str, Any]] = []
    answer = {
        "Body": io.BytesIO(b"[1]"),
        "ContentType": JSON,
        "InvokedProductionVariant": "main",
        "ResponseMetadata": {"RequestId": "r-1"},
    }
    reply = ask(provider(answer, seen), b'{"input":1}')
    assert (reply.body, reply.content_type) == (b"[1]", JSON)
    assert reply.headers == {"x-amzn-invoked-production-variant": "main", "x-amzn-requestid": "r-1"}
    assert seen == [{"EndpointName": "digits", "Body": b'{"input":1}', "ContentType": JSON, "Accept": JSON}]


def test_a_refused_input_is_told_as_the_model_told_it() -> None:
    text = json.dumps({"error": {"code": "bad_shape", "message": "inputs[3] has 5 numbers", "fix": "send 4"}})
    with pytest.raises(InputError, match=r"inputs\[3\] has 5 numbers") as caught:
        ask(provider(model_error(400, text)))
    assert (caught.value.code, caught.value.status, caught.value.fix) == ("bad_shape", 400, "send 4")


def test_a_model_that_fails_is_told_with_its_last_log_lines_in_order() -> None:
    text = json.dumps({"error": {"code": "prediction_failed", "message": "it failed", "fix": ""}})
    with pytest.raises(PredictionError, match="it failed") as caught:
        ask(provider(model_error(500, text)))
    assert (caught.value.code, caught.value.status) == ("prediction_failed", 500)
    assert caught.value.log_tail == ("first", "last")


@pytest.mark.parametrize("message", ["", "<html>", "[]", '{"error": "text"}', '{"message": 1}'])
def test_a_container_that_answers_otherwise_is_understood_too(message: str) -> None:
    with pytest.raises(PredictionError, match="Received error"):
        ask(provider(model_error(503, message)))
    with pytest.raises(InputError):
        ask(provider(model_error(415, message)))


def test_a_request_above_six_megabytes_is_refused_before_it_is_sent() -> None:
    seen: list[Mapping[str, Any]] = []
    with pytest.raises(InputError, match="6,291,457 bytes") as caught:
        ask(provider({}, seen), b"x" * 6_291_457)
    assert caught.value.status == 413
    assert "batch transform" in caught.value.fix
    assert seen == []


def test_an_endpoint_that_is_not_there_is_not_found() -> None:
    error = ClientError(
        {"Error": {"Code": "ValidationError", "Message": "Endpoint digits of account 1 not found."}},
        "InvokeEndpoint",
    )
    with pytest.raises(NotFound, match="digits"):
        ask(provider(error))


@pytest.mark.parametrize("native", sorted(PHASES))
def test_every_state_of_an_endpoint_has_a_word_of_ours(native: str) -> None:
    answer = {
        "EndpointStatus": native,
        "EndpointConfigName": "digits-0123456789",
        "FailureReason": "why",
        "ProductionVariants": [{"CurrentInstanceCount": 3}],
    }
    status = provider(answer).status("digits")
    assert (status.phase, status.native, status.release) == (PHASES[native], native, "0123456789")
    assert (status.copies, status.reason) == (3, "why")


def test_an_endpoint_made_by_others_has_a_status_without_a_release() -> None:
    status = provider({"EndpointStatus": "InService", "EndpointConfigName": "theirs"}).status("digits")
    assert (status.phase, status.release, status.copies) == ("ready", "", None)


def test_metrics_are_summed_and_latency_is_in_milliseconds() -> None:
    results = [
        {"Id": "requests", "Values": [3.0, 4.0]},
        {"Id": "errors_5xx", "Values": [1.0]},
        {"Id": "latency_sum", "Values": [14_000.0]},
        {"Id": "latency_count", "Values": [7.0]},
    ]
    found = provider({"MetricDataResults": results}).metrics("digits", since_s=3600)
    assert found == {"requests": 7.0, "errors_4xx": 0.0, "errors_5xx": 1.0, "latency_ms": 2.0}
    assert "latency_ms" not in provider({"MetricDataResults": []}).metrics("digits", since_s=60)
