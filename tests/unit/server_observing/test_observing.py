"""What a running server tells of itself."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clouddeploy.monitoring.access_log import HELD_BYTES, Writer
from clouddeploy.runtime.errors import STATUS, WireError
from clouddeploy.server.attribution import code_of
from clouddeploy.server.message import Response, refusal
from clouddeploy.server.protocols.asking import text_error
from clouddeploy.testing.served import ServerProcess, until, write_model
from tests.unit.server_protocols.conftest import Serve, Server

TRACE = "0af7651916cd43dd8448eb211c80319c"
CRASHES = """\
import ctypes


def predict(inputs):
    if inputs[0, 0] == 666:
        ctypes.string_at(0)
    return inputs
"""


def parsed(body: bytes) -> dict[tuple[str, ...], float]:
    """Values by the metric's name and its labels' values."""
    families = text_string_to_metric_families(body.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def metrics(server: Server) -> dict[tuple[str, ...], float]:
    return parsed(server.get("/metrics").body)


def test_requests_and_errors_are_counted_by_route_version_and_code(serve: Serve) -> None:
    server = serve()
    for _ in range(3):
        assert server.post("/predict", {"input": [1, 2]}).status == 200
    assert server.post("/v2/models/m/infer", {}).status == 400
    assert server.post("/predict", {"input": [1]}).status == 400
    assert server.post("/predict", b"{").status == 400
    found = metrics(server)
    requests = "clouddeploy_requests_total"
    assert found[requests, "POST", "/predict", "m", "1", "200"] == 3
    assert found[requests, "POST", "/predict", "m", "1", "400"] == 2
    assert found["clouddeploy_errors_total", "/predict", "m", "1", "bad_json"] == 1
    assert found["clouddeploy_errors_total", "/predict", "m", "1", "bad_shape"] == 1
    infer = [key for key in found if key[0] == requests and key[2] == "/v2/models/{model}/infer"]
    assert [(key[1], key[5]) for key in infer] == [("POST", "400")]
    assert found["clouddeploy_request_seconds_count", "/predict", "m", "1"] == 5
    assert found["clouddeploy_queue_seconds_count", "m", "1"] >= 3
    assert found["clouddeploy_batch_examples_sum", "m", "1"] >= 3
    assert found["clouddeploy_model_loaded", "m", "1"] == 1
    assert found["clouddeploy_model_traffic_ratio", "m", "1"] == 1
    assert found["clouddeploy_model_load_seconds", "m", "1"] > 0


def test_what_clients_make_up_makes_no_series(serve: Serve) -> None:
    server = serve()
    for number in range(30):
        server.get(f"/nothing/{number}")
        server.post(f"/models/model{number}/predict", {"input": [1, 2]})
        server.post(f"/models/m/versions/{number + 7}/predict", {"input": [1, 2]}, x_request_id=f"id{number}")
    found = metrics(server)
    series = {key: value for key, value in found.items() if key[0] == "clouddeploy_requests_total"}
    assert len(series) <= 4
    assert series["clouddeploy_requests_total", "GET", "other", "", "", "404"] == 30
    assert sum(series.values()) == 90


def test_open_metrics_are_answered_where_they_are_asked_for(serve: Serve) -> None:
    reply = serve().get("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert reply.body.endswith(b"# EOF\n")


def test_without_metrics_nothing_is_answered(serve: Serve) -> None:
    server = serve(metrics=False)
    assert server.get("/metrics").status == 404
    assert server.get("/dashboard").status == 404
    assert server.post("/predict", {"input": [1, 2]}).status == 200


Lines = Callable[[int], list[dict[str, object]]]


@pytest.fixture
def logged(tmp_path: Path) -> Lines:
    """The lines of the log, once there are so many."""

    def read(count: int) -> list[dict[str, object]]:
        path = tmp_path / "access.log"
        until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, f"{count} lines are written")
        return [json.loads(line) for line in path.read_text().splitlines()]

    return read


def test_each_request_is_a_line_in_the_order_of_their_answers(
    serve: Serve, tmp_path: Path, logged: Lines
) -> None:
    server = serve(access_log=True, access_log_file=tmp_path / "access.log")
    server.post("/batch_predict", {"inputs": [[1, 2]] * 5}, x_request_id="mine")
    server.get("/nothing?secret=1")
    server.post("/predict", b"{", traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    server.post("/predict", b"{", traceparent="nonsense")
    first, second, third, fourth = logged(4)
    assert first["id"] == "mine"
    assert (first["method"], first["route"], first["status"]) == ("POST", "/batch_predict", 200)
    assert (first["model"], first["version"], first["batch"]) == ("m", "1", 5)
    assert first["bytes_in"] == len(json.dumps({"inputs": [[1, 2]] * 5}))
    assert first["client"] == "127.0.0.1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(first["time"]))
    assert isinstance(first["ms"], float)
    assert (second["path"], second["status"]) == ("/nothing", 404)
    assert "route" not in second
    assert (third["trace"], third["parent"]) == (TRACE, "b7ad6b7169203331")
    assert "trace" not in fourth


def test_what_comes_before_a_stop_is_written(serve: Serve, tmp_path: Path, logged: Lines) -> None:
    folder = write_model(tmp_path / "model", 1)
    with ServerProcess(folder, access_log=True, access_log_file=tmp_path / "access.log") as process:
        for _ in range(50):
            process.call("/predict", {"input": [1, 2]})
    assert len(logged(50)) == 50


def test_a_slow_request_is_told(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve("import time\ndef predict(x):\n    time.sleep(0.05)\n    return x\n", slow_ms=20)
    server.post("/predict", {"input": [1, 2]}, x_request_id="slowly")
    assert re.search(r"slow request slowly: POST /predict answered 200 after \d+ ms", caplog.text)


def test_a_reader_that_is_too_slow_loses_lines_and_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    dropped: list[int] = []
    writer = Writer(Path(f"/dev/fd/{writing}"), dropped.append)
    block = b"x" * 1023 + b"\n"
    for _ in range(2 * HELD_BYTES // (1024 * 1024)):
        writer.write([block * 1024])
    assert sum(dropped) >= 1024
    os.close(writing)
    drain = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(reading, 1 << 20), b"")])
    drain.start()
    writer.close()
    drain.join(20)
    os.close(reading)


@pytest.mark.parametrize("code", sorted(STATUS))
def test_the_code_of_an_error_is_found_in_every_frame(code: str) -> None:
    error = WireError(code, "what", "fix")
    assert code_of(refusal(error)) == code
    assert code_of(text_error(error)) == code


def test_a_code_that_a_handler_made_up_counts_as_other() -> None:
    assert code_of(Response(500, b'{"error":{"code":"made_up"}}')) == "other"
    assert code_of(Response(500, b"", headers=(("x-clouddeploy-error", "made_up"),))) == "other"
    assert code_of(Response(500)) == "other"


def test_counts_of_a_worker_that_crashed_stay_and_workers_answer_alike(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", 1, handler=CRASHES)
    with ServerProcess(folder, workers=2) as server:
        for _ in range(40):
            server.call("/predict", {"input": [1, 2]})

        def counted() -> float:
            found = parsed(server.call("/metrics").body)
            return sum(
                value
                for key, value in found.items()
                if key[0] == "clouddeploy_requests_total" and "200" in key and "/predict" in key
            )

        until(lambda: counted() == 40, "all requests are counted")
        before = server.workers()
        with pytest.raises(OSError, match=r"."):
            server.call("/predict", {"input": [666, 0]})
        until(lambda: len(server.workers() - before) == 1, "another worker takes its place")
        until(lambda: server.call("/ready").status == 200, "it is ready")
        for _ in range(10):
            assert counted() >= 40
        for _ in range(20):
            server.call("/predict", {"input": [1, 2]})
        until(lambda: counted() == 60, "the new worker counts on")
