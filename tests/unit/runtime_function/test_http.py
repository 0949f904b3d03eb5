from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime import Service
from clouddeploy.runtime import npy as npy_file
from clouddeploy.runtime.function import Function, start
from clouddeploy.runtime.function.limits import PAYLOAD_LIMIT
from tests.unit.runtime_function.conftest import Context, MakePackage, http, rest

SHAPES = pytest.mark.parametrize("event", [rest, http], ids=["rest", "http"])
MakeEvent = Callable[..., dict[str, Any]]


def error_of(answer: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = json.loads(answer["body"])["error"]
    return found


@SHAPES
def test_a_post_is_answered_with_the_services_bytes(
    event: MakeEvent, function: Function, package: MakePackage
) -> None:
    root = package()
    expected = Service.load(root / "model", root, keep_path=False).answer(b'{"inputs":[[1,2]]}')
    answer = function(event(), Context())
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, False)
    assert answer["body"].encode() == expected.body == b'{"predictions":[[2.0,4.0]]}'
    assert answer["headers"]["content-type"] == "application/json"
    assert answer["headers"]["x-request-id"] == "r-1"
    assert answer["headers"]["x-clouddeploy-model"] == "a" * 64


@SHAPES
def test_npy_goes_in_and_out_as_base64(event: MakeEvent, function: Function) -> None:
    body = npy_file.write(np.array([[1, 2]], dtype=np.float32))
    headers = {"CONTENT-type": "application/x-npy", "aCCept": "application/x-npy"}
    sent = event(
        base64.b64encode(body).decode(), isBase64Encoded=True, headers=headers, multiValueHeaders=None
    )
    answer = function(json.loads(json.dumps(sent)), Context())
    assert answer["isBase64Encoded"] is True
    found = npy_file.read(base64.b64decode(answer["body"]), "the answer")
    assert found.tolist() == [[2, 4]]
    assert answer["headers"]["content-type"] == "application/x-npy"


def test_json_in_base64_is_json(function: Function) -> None:
    encoded = base64.b64encode(b'{"input":[1,2]}').decode()
    assert function(http(encoded, isBase64Encoded=True), Context())["body"] == '{"prediction":[2.0,4.0]}'


def test_csv_by_multi_value_headers_is_answered_with_multi_value_headers(function: Function) -> None:
    multi = {"Content-Type": ["text/csv"], "Accept": ["text/html", "text/csv"]}
    answer = function(rest("1,2\n", headers=None, multiValueHeaders=multi), Context())
    assert answer["body"] == "2.0,4.0\n"
    assert answer["multiValueHeaders"]["content-type"] == ["text/csv"]
    assert "headers" not in answer


@SHAPES
@pytest.mark.parametrize("path", ["/ping", "/prod/health", "/ping/"])
def test_the_function_tells_that_it_is_alive(event: MakeEvent, path: str, function: Function) -> None:
    answer = function(event(None, "GET", path), Context())
    assert (answer["statusCode"], answer["body"]) == (200, '{"status":"ok"}')
    assert function(event(None, "HEAD", path), Context())["body"] == ""


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("DELETE", "/ping"), ("OPTIONS", "/"), ("x", "/")]
)
def test_other_methods_are_405(method: str, path: str, function: Function) -> None:
    answer = function(http(None, method, path), Context())
    assert (answer["statusCode"], error_of(answer)["code"]) == (405, "method_not_allowed")
    assert "POST" in answer["headers"]["allow"]


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"body": None}, "empty_body", 400),
        ({"body": ""}, "empty_body", 400),
        ({"body": 7}, "bad_input", 400),
        ({"body": {"inputs": [[1, 2]]}}, "bad_input", 400),
        ({"body": "{"}, "bad_json", 400),
        ({"body": "\ud800"}, "bad_input", 400),
        ({"body": "not base64!", "isBase64Encoded": True}, "bad_input", 400),
        ({"isBase64Encoded": "yes"}, "bad_input", 400),
        ({"headers": [1]}, "bad_input", 400),
        ({"headers": {"accept": 3}}, "bad_input", 400),
        ({"multiValueHeaders": {"accept": "json"}}, "bad_input", 400),
        ({"headers": {"content-type": "application/xml"}}, "unsupported_media_type", 415),
        ({"headers": {"accept": "image/png"}}, "not_acceptable", 406),
        ({"requestContext": None}, "bad_input", 400),
        ({"requestContext": {"http": 3}}, "bad_input", 400),
        ({"requestContext": {"http": {"method": 3}}}, "bad_input", 400),
        ({"rawPath": 3}, "bad_input", 400),
        ({"body": '{"inputs":[[1]]}'}, "bad_shape", 400),
    ],
)
def test_malformed_requests_are_told_what_is_wrong(
    change: dict[str, Any], code: str, status: int, function: Function
) -> None:
    answer = function(http() | change, Context())
    assert (answer["statusCode"], error_of(answer)["code"]) == (status, code)
    assert error_of(answer)["message"]
    assert error_of(answer)["fix"]


def test_a_rest_method_that_is_no_text_is_400(function: Function) -> None:
    assert function(rest(method=["POST"]), Context())["statusCode"] == 400  # type: ignore[arg-type]


def test_missing_headers_mean_json(function: Function) -> None:
    assert function(rest(headers=None, multiValueHeaders=None), Context())["statusCode"] == 200


def test_a_body_over_six_megabytes_is_413(function: Function) -> None:
    answer = function(http(" " * (PAYLOAD_LIMIT + 1)), Context())
    assert (answer["statusCode"], error_of(answer)["code"]) == (413, "too_large")


WIDE = "import numpy as np\ndef predict(x):\n    return np.full((len(x), 500_000), 1 / 3)\n"


def test_an_answer_that_lambda_would_not_take_is_413_with_what_to_do(package: MakePackage) -> None:
    function = start(package(WIDE), {})
    answer = function(http(), Context())
    assert (answer["statusCode"], error_of(answer)["code"]) == (413, "too_large")
    assert "application/x-npy" in error_of(answer)["fix"]
    npy = function(http(headers={"accept": "application/x-npy"}), Context())
    assert npy["statusCode"] == 200
    assert len(json.dumps(npy)) < PAYLOAD_LIMIT
    assert function({"inputs": [[1, 2]]}, Context())["error"]["code"] == "too_large"


def test_text_whose_escapes_make_it_too_large_is_refused(package: MakePackage) -> None:
    text = "import numpy as np\ndef predict(x):\n    return np.array(['\\n' * 2_500_000], dtype=object)\n"
    answer = start(package(text), {})(http(), Context())
    assert answer["statusCode"] == 413


def test_a_failing_model_is_500_without_internals(
    package: MakePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    function = start(package("def predict(x):\n    raise KeyError('secret')\n"), {})
    answer = function(http(), Context(request_id="r-9"))
    assert answer["statusCode"] == 500
    assert "secret" not in json.dumps(answer)
    assert "r-9" in error_of(answer)["fix"]
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["requestId"] == "r-9"
    assert "KeyError: 'secret'" in line["trace"]


READ_ONLY = (
    "import errno, os\ndef predict(x):\n"
    "    raise OSError(errno.EROFS, os.strerror(errno.EROFS), '/var/task/out.txt')\n"
)


def test_a_handler_that_writes_outside_tmp_is_told_where_it_may(package: MakePackage) -> None:
    found = error_of(start(package(READ_ONLY), {})(http(), Context()))
    assert found["code"] == "prediction_failed"
    assert "/tmp" in found["fix"]


def test_without_settings_no_origin_is_allowed(function: Function) -> None:
    answer = function(http(headers={"origin": "https://a.example"}), Context())
    assert not {name for name in answer["headers"] if name.startswith("access-control") or name == "vary"}


@pytest.mark.parametrize(
    ("origins", "origin", "expected"),
    [
        ("https://a.example, https://b.example", "https://b.example", "https://b.example"),
        ("https://a.example", "https://evil.example", None),
        ("https://a.example", "https://a.example.evil.example", None),
        ("*", "https://any.example", "*"),
    ],
)
def test_the_origins_that_may_call(
    origins: str, origin: str, expected: str | None, package: MakePackage
) -> None:
    function = start(package(), {"CLOUDDEPLOY_CORS_ORIGINS": origins})
    preflight = function(http(None, "OPTIONS", headers={"Origin": origin}), Context())
    posted = function(http(headers={"Origin": origin}), Context())
    assert (preflight["statusCode"], preflight["body"]) == (204, "")
    for answer in (preflight, posted):
        assert answer["headers"].get("access-control-allow-origin") == expected
        assert answer["headers"].get("vary") == (None if origins == "*" else "Origin")
    assert ("access-control-allow-methods" in preflight["headers"]) == (expected is not None)
    assert "content-type" not in preflight["headers"]
