"""Function URLs answer on loopback as those of Lambda do on the internet."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.emulator.conftest import refused
from tests.emulator.functions.conftest import ECHO, Functions

OPEN = (
    {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
    {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
)


@dataclass(frozen=True)
class Got:
    """A response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


def send(
    url: str, path: str = "", method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None,
    *, service: str = "",
) -> Got:  # fmt: skip
    """One request, signed for `service` unless that is empty."""
    given = dict(headers or {})
    if service:
        request = AWSRequest(method, url + path, data=body, headers=given)
        SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), service, "eu-west-1").add_auth(request)
        given = dict(request.headers.items())
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(method, parts.path + path, body, given)
        answer = connection.getresponse()
        return Got(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def opened(functions: Functions, code: str = ECHO, **options: Any) -> str:
    """The URL of a function that everybody may call."""
    name = functions.make(code)
    url = functions.api.create_function_url_config(FunctionName=name, AuthType="NONE", **options)[
        "FunctionUrl"
    ]
    for index, grant in enumerate(OPEN):
        functions.api.add_permission(FunctionName=name, StatementId=f"open-{index}", Principal="*", **grant)
    return str(url)


@pytest.fixture(scope="module")
def echo(functions: Functions) -> str:
    """A URL that gives the event back."""
    return opened(functions)


def test_the_event_has_the_payload_format(functions: Functions, echo: str) -> None:
    """Lambda Developer Guide, "Invoking Lambda function URLs": request payload format 2.0."""
    headers = {"Content-Type": "application/json", "X-Mine": "1", "Cookie": "a=1; b=2"}
    event = send(echo, "some/path%20x?q=1&q=2&e=", "POST", b'{"inputs": [1]}', headers).json()
    assert event["version"] == "2.0"
    assert event["routeKey"] == "$default"
    assert event["rawPath"] == "/some/path%20x"
    assert event["rawQueryString"] == "q=1&q=2&e="
    assert event["queryStringParameters"] == {"q": "1,2", "e": ""}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-mine"] == "1"
    assert (event["body"], event["isBase64Encoded"]) == ('{"inputs": [1]}', False)
    context = event["requestContext"]
    assert context["http"]["method"] == "POST"
    assert context["http"]["path"] == "/some/path%20x"
    assert context["accountId"] == "anonymous"
    assert context["domainName"] == f"{context['apiId']}.lambda-url.eu-west-1.on.aws"
    assert context["stage"] == "$default"
    assert send(echo).json()["rawPath"] == "/"


def test_a_binary_body_goes_in_as_base64(echo: str) -> None:
    event = send(echo, method="POST", body=b"\x00\xff", headers={"Content-Type": "application/x-npy"}).json()
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\x00\xff"


def test_answers_are_mapped(functions: Functions) -> None:
    """Lambda Developer Guide, "Invoking Lambda function URLs": response payload format."""
    url = opened(functions, "import json\ndef go(event, context):\n    return json.loads(event['body'])\n")

    def give(answer: Any) -> Got:
        body = json.dumps(answer).encode()
        return send(url, method="POST", body=body, headers={"Content-Type": "application/json"})

    got = give({"statusCode": 201, "headers": {"X-Own": "1"}, "cookies": ["a=1", "b=2"], "body": "hi"})
    assert (got.status, got.body, got.headers["x-own"]) == (201, b"hi", "1")
    assert got.headers.get_all("set-cookie") == ["a=1", "b=2"]
    raw = base64.b64encode(b"\x93NUMPY").decode()
    got = give({"statusCode": 200, "headers": {"Content-Type": "x/y"}, "body": raw, "isBase64Encoded": True})
    assert (got.body, got.headers["content-type"]) == (b"\x93NUMPY", "x/y")
    got = give({"message": "no status code"})
    assert (got.status, got.json()) == (200, {"message": "no status code"})
    assert got.headers["content-type"] == "application/json"
    assert give("text").body == b'"text"'
    assert give({"statusCode": 204}).status == 204
    for nonsense in ({"statusCode": "x"}, {"statusCode": 200, "body": "é", "isBase64Encoded": True}):
        assert give(nonsense).status == 502


def test_a_failing_function_is_a_502(functions: Functions) -> None:
    url = opened(functions, "def go(event, context):\n    raise RuntimeError('secret')\n")
    got = send(url)
    assert got.status == 502
    assert b"secret" not in got.body


def test_signing_is_asked_for(functions: Functions) -> None:
    """Lambda Developer Guide, "Control access to Lambda function URLs": AuthType AWS_IAM."""
    name = functions.make()
    functions.publish(name)
    functions.api.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    made = functions.api.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="AWS_IAM")
    assert made["FunctionArn"].endswith(f":{name}:live")
    url = made["FunctionUrl"]
    got = send(url)
    assert (got.status, got.json()) == (403, {"Message": "Forbidden"})
    assert send(url, service="s3").status == 403
    event = send(url, service="lambda").json()
    assert event["requestContext"]["accountId"] == "123456789012"
    assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == "AKIDEXAMPLE"


def test_an_open_url_needs_both_permissions(functions: Functions) -> None:
    """Lambda Developer Guide, "Control access to Lambda function URLs": both, since October 2025."""
    name = functions.make()
    url = functions.api.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    for index, grant in enumerate(OPEN):
        assert send(url).status == 403
        functions.api.add_permission(FunctionName=name, StatementId=f"s{index}", Principal="*", **grant)
    assert send(url).status == 200
    functions.api.remove_permission(FunctionName=name, StatementId="s0")
    assert send(url).status == 403


def test_cors_is_answered_by_the_url(functions: Functions) -> None:
    """Lambda Developer Guide, "Creating and managing Lambda function URLs": cross-origin resource sharing."""
    own = "{'statusCode': 200, 'headers': {'Access-Control-Allow-Origin': 'own'}, 'body': event['rawPath']}"
    cors = {
        "AllowOrigins": ["https://a.example"],
        "AllowMethods": ["POST"],
        "AllowHeaders": ["content-type"],
        "ExposeHeaders": ["x-own"],
        "MaxAge": 60,
        "AllowCredentials": True,
    }
    url = opened(functions, f"def go(event, context):\n    return {own}\n", Cors=cors)
    ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    got = send(url, method="OPTIONS", headers=ask)
    assert got.status == 200
    assert got.headers["access-control-allow-origin"] == "https://a.example"
    assert got.headers["access-control-allow-methods"] == "POST"
    assert got.headers["access-control-allow-headers"] == "content-type"
    assert got.headers["access-control-max-age"] == "60"
    got = send(url, headers={"Origin": "https://a.example"})
    assert got.headers.get_all("access-control-allow-origin") == ["https://a.example"]
    assert got.headers["access-control-expose-headers"] == "x-own"
    assert got.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in send(url, headers={"Origin": "https://b.example"}).headers


def test_urls_are_kept_and_refused(functions: Functions) -> None:
    """Lambda API Reference, CreateFunctionUrlConfig: "Errors"."""
    api, name = functions.api, functions.make()
    made = api.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    assert refused(api.create_function_url_config, FunctionName=name, AuthType="NONE").status == 409
    assert (
        refused(api.create_function_url_config, FunctionName=name, AuthType="X").code == "ValidationException"
    )
    bad = {"FunctionName": name, "Qualifier": "1", "AuthType": "NONE"}
    assert refused(api.create_function_url_config, **bad).code == "ValidationException"
    assert refused(api.create_function_url_config, **{**bad, "Qualifier": "no"}).status == 404
    wild = {"AllowOrigins": ["*"], "AllowCredentials": True}
    assert refused(api.update_function_url_config, FunctionName=name, Cors=wild)
    api.update_function_url_config(FunctionName=name, AuthType="NONE", Cors={"AllowOrigins": ["*"]})
    found = api.get_function_url_config(FunctionName=name)
    assert (found["AuthType"], found["FunctionUrl"]) == ("NONE", made["FunctionUrl"])
    assert [
        u["FunctionUrl"] for u in api.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    ] == [made["FunctionUrl"]]
    api.delete_function_url_config(FunctionName=name)
    assert refused(api.delete_function_url_config, FunctionName=name).status == 404
    assert send(made["FunctionUrl"]).status == 403


def test_a_body_over_the_limit_is_a_413(echo: str) -> None:
    got = send(echo, method="POST", body=b"x" * 6_291_457, headers={"Content-Type": "text/plain"})
    assert got.status == 413


def test_a_host_name_finds_it_too(echo: str) -> None:
    identity = urlsplit(echo).path.strip("/").rpartition("/")[2]
    base = echo.partition("/_lambda_url")[0]
    got = send(base, "/x", headers={"Host": f"{identity}.lambda-url.eu-west-1.localhost"})
    assert got.json()["rawPath"] == "/x"


def test_a_throttled_url_is_a_429(functions: Functions) -> None:
    name = functions.make()
    url = functions.api.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")["FunctionUrl"]
    functions.api.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert send(url, service="lambda").status == 429
