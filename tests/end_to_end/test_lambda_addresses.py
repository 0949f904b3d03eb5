"""A model on Lambda behind a URL and an HTTP API: real requests, signed and not."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clouddeploy.errors import InputError, PredictionError
from clouddeploy.spec import Access, Alarm, Compute
from clouddeploy.testing.models import broken_model, linear_model
from clouddeploy.testing.rig import Rig, rigs
from clouddeploy.testing.rigs import REGION, local_architecture

BODY = b'{"inputs": [[1, 2, 3, 4]]}'
PAGE = "https://app.example.com"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with rigs()["lambda"]() as rig:
        yield rig


def lowered(headers: Any) -> dict[str, str]:
    """Headers by their names in small letters."""
    return {str(name).lower(): str(value) for name, value in headers.items()}


def ask(
    url: str, body: bytes | None = BODY, *, signed_for: str = "", method: str = "", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of one request."""
    sent = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    verb = method or ("POST" if body is not None else "GET")
    if signed_for:
        request = AWSRequest(verb, url, headers=sent, data=body)
        SigV4Auth(Credentials("test", "test"), signed_for, REGION).add_auth(request)
        sent = dict(request.headers)
    plain = urllib.request.Request(url, body, sent, method=verb)
    try:
        with urllib.request.urlopen(plain, timeout=30) as answer:
            return answer.status, answer.read(), lowered(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), lowered(error.headers)


def test_url_and_api_take_signed_requests_alone_and_give_the_bytes_of_an_invocation(
    rig: Rig, tmp_path: Path
) -> None:
    wish: dict[str, Any] = {"compute": Compute(memory_mb=512, architecture=local_architecture())}
    deployer = rig.deployer()
    endpoint = deployer.deploy(
        linear_model(tmp_path), "addressed", access=Access(cors_origins=(PAGE,)), **wish
    )
    try:
        told = deployer.provider.describe("addressed")
        expected = endpoint.predict_raw(BODY).body
        for address, service in ((told["url"], "lambda"), (f"{told['http_api']}/", "execute-api")):
            assert ask(address)[0] == 403
            status, body, _ = ask(address, signed_for=service)
            assert (status, body) == (200, expected)
            status, _, headers = ask(
                address, None, method="OPTIONS", origin=PAGE, access_control_request_method="POST"
            )
            assert status in (200, 204)
            assert headers["access-control-allow-origin"] == PAGE
        status, body, _ = ask(f"{told['http_api']}/ping", None, signed_for="execute-api")
        assert (status, json.loads(body)) == (200, {"status": "ok"})
        deployer.deploy(linear_model(tmp_path), "addressed", access=Access(public=True), **wish)
        after = deployer.provider.describe("addressed")
        assert after["http_api"] == told["http_api"]
        assert ask(f"{told['http_api']}/predict")[:2] == (200, expected)
        assert ask(after["url"])[0] == 403
    finally:
        deployer.delete("addressed")


def test_requests_that_were_refused_or_failed_are_counted_whichever_way_they_came(
    rig: Rig, tmp_path: Path
) -> None:
    deployer = rig.deployer()
    endpoint = deployer.deploy(
        broken_model(tmp_path, "predict"),
        "counted",
        compute=Compute(memory_mb=512, architecture=local_architecture()),
        alarms=(Alarm(metric="errors_4xx", above=1),),
    )
    try:
        assert endpoint.metrics()["errors_4xx"] == 0
        with pytest.raises(InputError):
            endpoint.predict_raw(b"{")
        with pytest.raises(PredictionError):
            endpoint.predict_raw(BODY)
        address = deployer.provider.describe("counted")["http_api"]
        assert ask(address + "/", b"nonsense", signed_for="execute-api")[0] == 400
        found = endpoint.metrics()
        assert (found["errors_4xx"], found["errors_5xx"]) == (2, 1)
        assert found["requests"] == 3
    finally:
        deployer.delete("counted")
