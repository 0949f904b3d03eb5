"""HTTP APIs answer on loopback as API Gateway does.

API Gateway Developer Guide: "Working with routes for HTTP APIs", "Create AWS Lambda proxy integrations for
HTTP APIs", "Configure CORS for HTTP APIs", "Control and manage access to HTTP APIs".
"""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.emulator.backends.http_apis import Integration, Route
from clouddeploy.emulator.http_api.selection import select
from tests.emulator.conftest import REGION, Rig, refused

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
SOURCE = """
import base64, json
def handler(event, context):
    what = event.get("queryStringParameters", {}).get("do", "echo")
    if what == "raise":
        raise ValueError("as asked")
    if what == "plain":
        return {"just": "data"}
    if what == "nonsense":
        return {"statusCode": "many"}
    if what == "binary":
        body = base64.b64encode(bytes(range(256))).decode()
        return {"statusCode": 201, "headers": {"content-type": "application/octet-stream", "X-A": 1},
                "body": body, "isBase64Encoded": True, "cookies": ["a=1", "b=2"]}
    headers = {"access-control-allow-origin": "nobody"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(event)}
"""


@dataclass
class Answer:
    """One response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as an object."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """A header's value."""
        return next((v for k, v in self.headers if k.lower() == name), None)


@dataclass
class Desk:
    """HTTP APIs with one function behind them."""

    rig: Rig
    function: str

    def __post_init__(self) -> None:
        self.api, self.lambdas = self.rig.client("apigatewayv2"), self.rig.client("lambda")

    def make(
        self,
        *routes: str,
        permitted: str | None = "*",
        stages: Mapping[str, dict[str, str]] | None = None,
        route: dict[str, str] | None = None,
        integration: dict[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """A new API's id."""
        made = self.api.create_api(Name=self.rig.fresh("api"), ProtocolType="HTTP", **more)
        identity = str(made["ApiId"])
        arn = f"arn:aws:lambda:{REGION}:123456789012:function:{self.function}"
        given = {"IntegrationType": "AWS_PROXY", "IntegrationUri": arn, "PayloadFormatVersion": "2.0"}
        lead = self.api.create_integration(ApiId=identity, **{**given, **(integration or {})})
        target = f"integrations/{lead['IntegrationId']}"
        for key in routes or ("$default",):
            self.api.create_route(ApiId=identity, RouteKey=key, Target=target, **(route or {}))
        for name, variables in (stages or {"$default": {}}).items():
            self.api.create_stage(ApiId=identity, StageName=name, StageVariables=variables, AutoDeploy=True)
        if permitted is not None:
            self.lambdas.add_permission(
                FunctionName=self.function, StatementId=self.rig.fresh("s"), Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                SourceArn=f"arn:aws:execute-api:{REGION}:123456789012:{identity}/{permitted}",
            )  # fmt: skip
        return identity

    def ask(
        self,
        identity: str,
        path: str = "/",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        signed_for: str = "",
    ) -> Answer:
        """One request to an API."""
        url = f"{self.rig.emulator.url}/_http_api/{identity}{path}"
        request = AWSRequest(method, url, data=body, headers=dict(headers or {}))
        if signed_for:
            SigV4Auth(Credentials("key", "secret"), signed_for, REGION).add_auth(request)
        plain = urllib.request.Request(url, data=body, headers=dict(request.headers), method=method)
        try:
            with urllib.request.urlopen(plain, timeout=60) as answer:
                return Answer(answer.status, answer.getheaders(), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, list(error.headers.items()), error.read())


@pytest.fixture(scope="module")
def desk(rig: Rig) -> Iterator[Desk]:
    """A function that tells what it got, and the way to its APIs."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("index.py", SOURCE)
    name = rig.fresh("echo")
    rig.client("lambda").create_function(
        FunctionName=name, Role=rig.make_role(TRUST), Runtime="python3.13", Handler="index.handler",
        Code={"ZipFile": raw.getvalue()}, Timeout=10,
    )  # fmt: skip
    yield Desk(rig, name)
    rig.client("lambda").delete_function(FunctionName=name)


def test_a_request_becomes_an_event_of_format_2(desk: Desk) -> None:
    identity = desk.make("POST /items/{id}", stages={"$default": {"color": "red"}})
    answer = desk.ask(
        identity, "/items/a%20b?x=1&x=2&y=", method="POST", body=b'{"a": 1}',
        headers={"content-type": "application/json", "cookie": "k=v; l=w", "x-own": "1"},
    )  # fmt: skip
    event = answer.json
    assert answer.status == 200
    assert (event["version"], event["routeKey"], event["rawPath"]) == (
        "2.0",
        "POST /items/{id}",
        "/items/a b",
    )
    assert event["rawQueryString"] == "x=1&x=2&y="
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["pathParameters"] == {"id": "a b"}
    assert event["stageVariables"] == {"color": "red"}
    assert event["cookies"] == ["k=v", "l=w"]
    assert (event["body"], event["isBase64Encoded"]) == ('{"a": 1}', False)
    assert event["headers"]["x-own"] == "1"
    context = event["requestContext"]
    assert context["domainName"] == f"{identity}.execute-api.{REGION}.amazonaws.com"
    assert (context["apiId"], context["stage"]) == (identity, "$default")
    assert (context["http"]["method"], context["http"]["path"]) == ("POST", "/items/a b")


def test_bytes_go_in_and_out_as_base64(desk: Desk) -> None:
    identity = desk.make()
    sent = bytes(range(256))
    event = desk.ask(
        identity, method="POST", body=sent, headers={"content-type": "application/octet-stream"}
    ).json
    assert (base64.b64decode(event["body"]), event["isBase64Encoded"]) == (sent, True)
    answer = desk.ask(identity, "/?do=binary")
    assert (answer.status, answer.body, answer.header("x-a")) == (201, sent, "1")
    assert [v for k, v in answer.headers if k.lower() == "set-cookie"] == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("do", "status", "body"),
    [
        ("plain", 200, {"just": "data"}),
        ("raise", 500, {"message": "Internal Server Error"}),
        ("nonsense", 500, {"message": "Internal Server Error"}),
    ],
)
def test_other_answers_of_a_function(desk: Desk, do: str, status: int, body: Any) -> None:
    answer = desk.ask(desk.make(), f"/?do={do}")
    assert (answer.status, answer.json) == (status, body)


def test_a_named_stage_stands_in_the_path_and_what_matches_nothing_is_not_found(desk: Desk) -> None:
    identity = desk.make("GET /a", stages={"test": {}})
    answer = desk.ask(identity, "/test/a")
    assert (answer.json["rawPath"], answer.json["requestContext"]["stage"]) == ("/test/a", "test")
    for path in ("/a", "/test/b", "/other/a"):
        assert (desk.ask(identity, path).status, desk.ask(identity, path).json) == (
            404,
            {"message": "Not Found"},
        )
    assert desk.ask(identity, "/test/a", method="POST", body=b"").status == 404
    assert desk.ask("nosuchapi", "/a").status == 404


def test_a_route_that_asks_for_iam_wants_a_signature_for_this_service(desk: Desk) -> None:
    identity = desk.make(route={"AuthorizationType": "AWS_IAM"})
    assert (desk.ask(identity).status, desk.ask(identity).json) == (403, {"message": "Forbidden"})
    assert desk.ask(identity, signed_for="lambda").status == 403
    event = desk.ask(identity, signed_for="execute-api").json
    assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == "key"


def test_other_authorizers_are_not_passed_over_in_silence(desk: Desk) -> None:
    answer = desk.ask(desk.make(route={"AuthorizationType": "JWT"}))
    assert (answer.status, answer.json) == (501, {"message": "The embedded cloud checks no JWT authorizers"})


@pytest.mark.parametrize(
    ("permitted", "status"),
    [("*", 200), ("$default/GET/a", 200), ("*/*/a", 200), (None, 500), ("*/POST/a", 500), ("other/*", 500)],
)
def test_the_function_must_permit_the_api(desk: Desk, permitted: str | None, status: int) -> None:
    """ "Internal Server Error" is what a missing AddPermission looks like."""
    assert desk.ask(desk.make("GET /a", permitted=permitted), "/a").status == status


def test_what_does_not_run_here_says_so(desk: Desk) -> None:
    old = desk.make(integration={"PayloadFormatVersion": "1.0"})
    assert "payload format 2.0" in desk.ask(old).json["message"]
    proxy = {
        "IntegrationType": "HTTP_PROXY", "IntegrationUri": "https://example.org", "IntegrationMethod": "GET",
        "PayloadFormatVersion": "1.0",
    }  # fmt: skip
    assert "nothing else" in desk.ask(desk.make(integration=proxy)).json["message"]


def test_preflights_are_answered_by_the_api_and_its_headers_win(desk: Desk) -> None:
    rules = {
        "AllowOrigins": ["https://a.example"], "AllowMethods": ["POST"], "AllowHeaders": ["x-own"],
        "MaxAge": 60, "ExposeHeaders": ["x-a"],
    }  # fmt: skip
    identity = desk.make("POST /a", CorsConfiguration=rules)
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    answer = desk.ask(identity, "/a", method="OPTIONS", headers=asked)
    assert answer.status == 204
    assert answer.header("access-control-allow-origin") == "https://a.example"
    assert answer.header("access-control-allow-methods") == "POST"
    assert answer.header("access-control-max-age") == "60"
    foreign = desk.ask(identity, "/a", method="OPTIONS", headers={**asked, "origin": "https://b.example"})
    assert (foreign.status, foreign.header("access-control-allow-origin")) == (204, None)
    plain = desk.ask(identity, "/a", method="POST", body=b"{}", headers={"origin": "https://a.example"})
    assert plain.header("access-control-allow-origin") == "https://a.example"
    assert plain.header("access-control-expose-headers") == "x-a"


def test_the_host_of_an_api_leads_to_it_too(desk: Desk) -> None:
    identity = desk.make("GET /a")
    host = f"{identity}.execute-api.{REGION}.amazonaws.com"
    request = urllib.request.Request(f"{desk.rig.emulator.url}/a", headers={"host": host})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.loads(answer.read())["rawPath"] == "/a"


def test_an_api_tells_where_it_can_be_reached_and_a_stage_can_be_changed(desk: Desk) -> None:
    identity = desk.make()
    endpoint = f"{desk.rig.emulator.url}/_http_api/{identity}"
    assert desk.api.get_api(ApiId=identity)["ApiEndpoint"] == endpoint
    assert endpoint in [a["ApiEndpoint"] for a in desk.api.get_apis()["Items"]]
    desk.api.update_stage(ApiId=identity, StageName="$default", StageVariables={"a": "b"})
    assert desk.ask(identity).json["stageVariables"] == {"a": "b"}
    assert refused(desk.api.update_stage, ApiId=identity, StageName="none").code == "NotFoundException"


INTEGRATION = Integration("AWS_PROXY", "arn", "2.0", 30)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/pets", "GET /pets"),
        ("POST", "/pets", "ANY /pets"),
        ("GET", "/pets/", "GET /pets"),
        ("GET", "/pets/dog", "GET /pets/dog"),
        ("GET", "/pets/cat", "GET /pets/{id}"),
        ("GET", "/pets/cat/x", "GET /pets/{proxy+}"),
        ("GET", "/elsewhere", "$default"),
        ("DELETE", "/pets/cat", "$default"),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, expected: str) -> None:
    keys = [
        "$default", "ANY /pets", "GET /pets/{proxy+}", "GET /pets/{id}", "GET /pets/dog", "GET /pets",
    ]  # fmt: skip
    found = select([Route(key, "NONE", INTEGRATION) for key in keys], method, path)
    assert found is not None
    assert found[0].key == expected


@given(st.permutations(["$default", "ANY /a/{x}", "GET /a/{x}", "GET /a/{x+}", "GET /a/b", "POST /a/b"]))
def test_the_order_of_routes_does_not_matter(keys: list[str]) -> None:
    routes = [Route(key, "NONE", INTEGRATION) for key in keys]
    found = [select(routes, "GET", path) for path in ("/a/b", "/a/c", "/a/c/d", "/x")]
    chosen = [one[0].key for one in found if one is not None]
    assert chosen == ["GET /a/b", "GET /a/{x}", "GET /a/{x+}", "$default"]


def test_a_second_route_or_stage_of_one_name_is_refused(desk: Desk) -> None:
    """CreateRoute and CreateStage, API Gateway V2 API Reference: ConflictException."""
    identity = desk.make("$default")
    route = refused(desk.api.create_route, ApiId=identity, RouteKey="$default")
    assert (route.code, route.status) == ("ConflictException", 409)
    stage = refused(desk.api.create_stage, ApiId=identity, StageName="$default")
    assert (stage.code, stage.status) == ("ConflictException", 409)
    desk.api.create_route(ApiId=identity, RouteKey="POST /other")
