"""Answers to requests, which are those of every other target."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime import Service
from clouddeploy.runtime import npy as npy_file
from clouddeploy.runtime.cloud_function import CloudFunction, start
from clouddeploy.runtime.cloud_function.limits import PAYLOAD_LIMIT
from clouddeploy.runtime.function import start as start_lambda
from tests.unit.runtime_cloud_function.conftest import Request
from tests.unit.runtime_function.conftest import Context, MakePackage, http
from tests.unit.runtime_function.test_budget import GATE


def error_of(body: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(body)["error"]
    return found


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_post_to_any_path_is_answered_with_the_services_bytes(
    function: CloudFunction, package: MakePackage
) -> None:
    root = package()
    expected = Service.load(root / "model", root, keep_path=False).answer(b'{"inputs":[[1,2]]}')
    for path in ("/", "/predict", "/a/b"):
        body, status, headers = function(Request(path=path))
        assert (status, body) == (200, expected.body)
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == "r1"
    assert headers["x-clouddeploy-model"] == "a" * 64
    assert headers["server-timing"].startswith("total;dur=")


def test_npy_and_csv_go_in_and_out(function: CloudFunction) -> None:
    body = npy_file.write(np.array([[1, 2]], dtype=np.float32))
    kinds = {"CONTENT-type": "application/x-npy", "aCCept": "application/x-npy"}
    answer, status, headers = function(Request(body, given=kinds))
    assert (status, headers["content-type"]) == (200, "application/x-npy")
    assert npy_file.read(answer, "the answer").tolist() == [[2, 4]]
    kinds = {"content-type": "text/csv", "accept": "text/html, text/csv"}
    assert function(Request(b"1,2\n", given=kinds))[0] == b"2.0,4.0\n"


SENT: list[tuple[bytes, dict[str, str]]] = [
    (b'{"inputs":[[1,2],[3,4]]}', {}),
    (b'{"input":[1,2]}', {"accept": "*/*"}),
    (b"", {}),
    (b"{", {}),
    (b'{"inputs":[[1]]}', {}),
    (b'{"inputs":[[1,"x"]]}', {}),
    (b'{"inputs":[[1,2]],"inputs":[]}', {}),
    (b'{"other":1}', {}),
    (b"1,2", {"content-type": "text/csv"}),
    (b"no array", {"content-type": "application/x-npy"}),
    (b"<a/>", {"content-type": "application/xml"}),
    (b'{"inputs":[[1,2]]}', {"accept": "image/png"}),
]


@pytest.mark.parametrize(("body", "headers"), SENT)
def test_bodies_and_statuses_equal_lambdas(
    body: bytes, headers: dict[str, str], function: CloudFunction, package: MakePackage
) -> None:
    on_lambda = start_lambda(package(), {})(
        http(body.decode(), headers={"content-type": "application/json", **headers}), Context()
    )
    found = function(Request(body, given={"content-type": "application/json", **headers}))
    assert (found[1], found[0].decode()) == (on_lambda["statusCode"], on_lambda["body"])


@pytest.mark.parametrize("path", ["/ping", "/health", "/any/health/"])
def test_the_function_tells_that_it_is_alive_without_reading_a_body(
    path: str, function: CloudFunction
) -> None:
    request = Request(b"", "GET", path)
    assert function(request)[:2] == (b'{"status":"ok"}', 200)
    assert function(Request(b"", "HEAD", path))[:2] == (b"", 200)
    assert request.reads == 0


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("DELETE", "/ping"), ("OPTIONS", "/")])
def test_other_methods_are_405(method: str, path: str, function: CloudFunction) -> None:
    body, status, headers = function(Request(b"", method, path))
    assert (status, error_of(body)["code"]) == (405, "method_not_allowed")
    assert "POST" in headers["allow"]


@pytest.mark.parametrize(
    ("origins", "origin", "expected"),
    [
        ("https://a.example, https://b.example", "https://b.example", "https://b.example"),
        ("https://a.example", "https://evil.example", None),
        ("*", "https://any.example", "*"),
    ],
)
def test_the_origins_that_may_call(
    origins: str, origin: str, expected: str | None, package: MakePackage
) -> None:
    function = start(package(), {"CLOUDDEPLOY_CORS_ORIGINS": origins})
    body, status, preflight = function(Request(b"", "OPTIONS", given={"Origin": origin}))
    assert (body, status) == (b"", 204)
    _, _, posted = function(Request(given={"Origin": origin}))
    assert preflight.get("access-control-allow-origin") == expected
    assert posted.get("access-control-allow-origin") == expected
    assert ("access-control-allow-methods" in preflight) == (expected is not None)
    assert "x-amz" not in preflight.get("access-control-allow-headers", "")


def test_a_body_over_the_limit_is_413_and_is_not_read(function: CloudFunction) -> None:
    request = Request(length=PAYLOAD_LIMIT + 1)
    body, status, _ = function(request)
    assert (status, error_of(body)["code"], request.reads) == (413, "too_large", 0)
    body, status, _ = function(Request(b" " * (PAYLOAD_LIMIT + 1), length=0))
    assert (status, error_of(body)["code"]) == (413, "too_large")


def test_an_answer_that_cloud_run_would_not_take_is_413_with_what_to_do(package: MakePackage) -> None:
    wide = "import numpy as np\ndef predict(x):\n    return np.full((len(x), 2_000_000), 1 / 3)\n"
    function = start(package(wide), {})
    body, status, _ = function(Request())
    assert (status, error_of(body)["code"]) == (413, "too_large")
    assert "application/x-npy" in error_of(body)["fix"]
    assert function(Request(given={"accept": "application/x-npy"}))[1] == 200


def test_a_failing_model_is_500_without_internals_and_its_stack_is_on_the_log(
    package: MakePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    function = start(package("def predict(x):\n    raise KeyError('secret')\n"), {})
    body, status, _ = function(Request(given={"Function-Execution-Id": "r9"}))
    assert status == 500
    assert b"secret" not in body
    assert "r9" in error_of(body)["fix"]
    line = lines(capsys)[-1]
    assert (line["severity"], line["requestId"], line["status"]) == ("ERROR", "r9", 500)
    assert "KeyError: 'secret'" in line["stack_trace"]


def test_an_id_that_logs_and_headers_can_not_carry_is_not_taken(function: CloudFunction) -> None:
    for given in ("a b", "ä", "x" * 65, 'a"b', ""):
        assert "x-request-id" not in function(Request(given={"Function-Execution-Id": given}))[2]


def test_a_request_is_one_line_that_cloud_logging_parses(
    package: MakePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"GOOGLE_CLOUD_PROJECT": "p-1", "CLOUDDEPLOY_RELEASE": "0123456789"}
    function = start(package(), environ)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    function(Request(given={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}))
    function(Request(b"{", given={"X-Cloud-Trace-Context": f"{trace}/1;o=0"}))
    loaded, good, bad = lines(capsys)
    assert (loaded["severity"], loaded["message"]) == ("INFO", "the model is loaded")
    assert good["severity"] == "INFO"
    assert good["message"].startswith("http answered 200 in ")
    assert good["logging.googleapis.com/trace"] == f"projects/p-1/traces/{trace}"
    assert good["logging.googleapis.com/spanId"] == "00f067aa0ba902b7"
    assert good["logging.googleapis.com/trace_sampled"] is True
    assert (good["batch"], good["requestId"], good["release"]) == (1, "r1", "0123456789")
    assert good["ms"] >= 0
    assert bad["severity"] == "WARNING"
    assert "bad_json" in bad["message"]
    assert bad["logging.googleapis.com/spanId"] == "0000000000000001"


def test_a_late_prediction_is_503_and_one_that_never_ends_ends_the_worker(package: MakePackage) -> None:
    function = start(package(GATE), {"CLOUD_RUN_TIMEOUT_SECONDS": "1"})
    ended: list[bool] = []
    function._end = lambda: ended.append(True)
    body, status, headers = function(Request())
    assert (status, error_of(body)["code"], headers["retry-after"]) == (503, "out_of_time", "1")
    assert not ended
    assert function(Request())[1] == 500
    assert ended == [True]
    sys.modules["_clouddeploy_app_handler"].gate.set()


def test_requests_side_by_side_have_a_time_of_their_own(package: MakePackage) -> None:
    function = start(package(GATE), {"CLOUD_RUN_TIMEOUT_SECONDS": "30"})
    first: list[int] = []
    waiting = threading.Thread(target=lambda: first.append(function(Request())[1]))
    waiting.start()
    handler = sys.modules["_clouddeploy_app_handler"]
    while not handler.calls:
        waiting.join(0.01)
    assert function(Request())[1] == 200
    handler.gate.set()
    waiting.join()
    assert first == [200]
