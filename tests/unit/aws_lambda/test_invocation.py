"""Requests to what runs, and what their answers mean; credentials and policies."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from typing import Any

import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.errors import InputError, NotFound, PredictionError, SpecError
from clouddeploy.model import Model
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.options import AwsOptions
from clouddeploy.providers.aws_lambda import Lambda, names
from clouddeploy.providers.aws_lambda.invocation import invoke
from clouddeploy.providers.aws_lambda.permissions import deployer_policy, execution_policy
from clouddeploy.providers.aws_lambda.site import find_site
from clouddeploy.runtime.function import http_event
from tests.unit.aws.test_client import Scripted, refusal
from tests.unit.aws_lambda.conftest import WISH, Bench

JSON = "application/json"


def answering(payload: Any, **more: Any) -> Aws:
    """The seam to a function that answers `payload`."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    answer = {"Payload": io.BytesIO(body), **more}
    return Aws(region="eu-west-1", transport=Scripted(answer), retry_delay_s=0)


def ask(aws: Aws, body: bytes = b"{}") -> Any:
    return invoke(aws, "digits", body, content_type=JSON, accept="text/csv")


def test_a_request_is_an_http_event_that_our_entry_understands() -> None:
    transport = Scripted({"Payload": io.BytesIO(b'{"statusCode": 200, "body": "1"}')})
    reply = ask(Aws(region="eu-west-1", transport=transport), b"\x00\xff")
    (_, operation, params) = transport.calls[0]
    assert (operation, params["Qualifier"], params["FunctionName"]) == ("Invoke", "live", "digits")
    event = json.loads(params["Payload"])
    assert http_event.is_http(event)
    request = http_event.parse(event)
    assert (request.method, request.path, request.body) == ("POST", "/", b"\x00\xff")
    assert request.headers == {"content-type": JSON, "accept": "text/csv"}
    assert reply.body == b"1"


def test_bytes_come_back_as_they_were_with_lower_case_headers() -> None:
    answer = {
        "statusCode": 200,
        "headers": {"Content-Type": "application/x-npy"},
        "body": b64encode(b"\x93NUMPY").decode(),
        "isBase64Encoded": True,
    }
    reply = ask(answering(answer, ResponseMetadata={"RequestId": "r1"}))
    assert (reply.body, reply.content_type) == (b"\x93NUMPY", "application/x-npy")
    assert reply.headers["x-amzn-requestid"] == "r1"


def test_refused_input_is_told_by_the_wire_contracts_error() -> None:
    error = {"error": {"code": "bad_json", "message": "that isn't JSON", "fix": "send JSON"}}
    with pytest.raises(InputError, match="that isn't JSON") as caught:
        ask(answering({"statusCode": 415, "body": json.dumps(error)}))
    assert (caught.value.code, caught.value.status, caught.value.fix) == ("bad_json", 415, "send JSON")


def test_a_failed_prediction_carries_the_log_that_came_along() -> None:
    log = b64encode(b"START\nValueError: no\nEND\n").decode()
    with pytest.raises(PredictionError) as caught:
        ask(answering({"statusCode": 503, "body": "later"}, LogResult=log))
    assert caught.value.status == 503
    assert caught.value.log_tail == ("START", "ValueError: no", "END")


def test_a_crash_is_told_with_its_type_and_its_trace() -> None:
    crash = {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 3.00 seconds"}
    log = b64encode(b"Traceback\nKeyError: 'x'\n").decode()
    with pytest.raises(PredictionError, match=r"Sandbox\.Timedout: Task timed out") as caught:
        ask(answering(crash, FunctionError="Unhandled", LogResult=log))
    assert "KeyError: 'x'" in caught.value.log_tail


@pytest.mark.parametrize(
    ("kind", "message", "field"),
    [
        ("Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: signal: killed", "memory_mb"),
        ("Runtime.OutOfMemory", "RequestId: 1 Error: out of memory", "memory_mb"),
        ("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 3.00 seconds", "timeout_s"),
    ],
)
def test_what_ran_out_of_memory_or_time_is_told_which_field_to_set(
    kind: str, message: str, field: str
) -> None:
    with pytest.raises(PredictionError) as caught:
        ask(answering({"errorType": kind, "errorMessage": message}, FunctionError="Unhandled"))
    assert f"Compute.{field}" in str(caught.value.fix)


@pytest.mark.parametrize("payload", [b"null", b"not json", b'{"hello": 1}', b'{"statusCode": "x"}'])
def test_an_answer_that_is_none_of_ours_is_a_prediction_error(payload: bytes) -> None:
    with pytest.raises(PredictionError, match="isn't an HTTP answer"):
        ask(answering(payload))


def test_a_request_over_six_megabytes_is_refused_before_it_is_sent() -> None:
    transport = Scripted({})
    with pytest.raises(InputError, match="5,000,000 bytes") as caught:
        ask(Aws(region="eu-west-1", transport=transport), b"x" * 5_000_000)
    assert (caught.value.code, caught.value.status) == ("too_large", 413)
    assert transport.calls == []


def test_nothing_under_the_name_is_told() -> None:
    transport = Scripted(refusal("ResourceNotFoundException", "Function not found: digits", 404))
    with pytest.raises(NotFound, match="digits"):
        ask(Aws(region="eu-west-1", transport=transport))


def test_the_role_may_do_nothing_but_write_its_own_log(bench: Bench, aws: Aws) -> None:
    site = find_site(aws, "digits", bucket=None, poll_s=0, timeout_s=1)
    (statement,) = execution_policy(site, private_network=False, on_failure=None, kms_key=None)["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"].endswith(":log-group:/aws/lambda/digits:*")


def test_the_role_may_do_what_the_wish_adds(bench: Bench, aws: Aws) -> None:
    site = find_site(aws, "digits", bucket=None, poll_s=0, timeout_s=1)
    policy = execution_policy(
        site,
        private_network=True,
        on_failure="arn:aws:sns:eu-west-1:123456789012:dead",
        kms_key="arn:aws:kms:eu-west-1:123456789012:key/1",
        model_uri="s3://models/digits/1",
    )
    allowed = {action: s["Resource"] for s in policy["Statement"] for action in s["Action"]}
    assert allowed["sns:Publish"] == "arn:aws:sns:eu-west-1:123456789012:dead"
    assert allowed["s3:GetObject"] == "arn:aws:s3:::models/digits/1*"
    assert {"kms:Decrypt", "s3:ListBucket", "ec2:CreateNetworkInterface"} <= allowed.keys()


def test_the_one_who_deploys_may_pass_the_role_and_invoke() -> None:
    actions = deployer_policy()["Statement"][0]["Action"]
    assert {"iam:PassRole", "lambda:InvokeFunction", "lambda:PublishVersion"} <= set(actions)
    assert "lambda:Invoke" not in actions


def test_constructing_reads_no_credentials_and_refuses_options_that_there_are_not() -> None:
    Lambda(profile="no-such-profile")
    with pytest.raises(TypeError, match="regoin"):
        Lambda(regoin="eu-west-1")  # type: ignore[call-arg]
    assert set(AwsOptions.__annotations__) >= {"region", "profile", "endpoint_url"}


def test_the_zip_is_written_and_an_image_has_none(bench: Bench, model: Model, tmp_path: Any) -> None:
    out = bench.provider().package(model, tmp_path / "function.zip")
    assert out.read_text() == f"{model.digest[:12]} 3.13 x86_64"
    with pytest.raises(SpecError):
        bench.provider(image="x:1").package(model, out)


def test_a_description_tells_release_and_artifact() -> None:
    told = names.description("0123456789", "ab" * 32)
    assert names.parts_of(told) == ("0123456789", ("ab" * 32)[:32])
    assert names.parts_of(names.description("0123456789", "")) == ("0123456789", "")
    assert names.parts_of("clouddeploy") == names.parts_of("") == ("", "")


def test_status_before_the_alias_is_there_is_creating(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    bench.cloud.functions["digits"]["aliases"].clear()
    deployer: Deployer = bench.deployer()
    status = deployer.endpoint("digits").status()
    assert status.phase == "creating"
    assert "live" in status.reason
