"""Streamed answers in the access log and the metrics."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from clouddeploy.testing.served import until
from tests.unit.server_observing.test_observing import metrics
from tests.unit.server_protocols.conftest import Serve, Server

COUNTS = """
def predict(x):
    for number in range(3):
        yield x + number
"""
ENDLESS = """
import time


def predict(x):
    while True:
        time.sleep(0.01)
        yield x
"""


def lines(path: Path, count: int) -> list[dict[str, Any]]:
    until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, f"{count} lines are written")
    return [json.loads(line) for line in path.read_text().splitlines()]


def started(serve: Serve, path: Path, handler: str) -> Server:
    return serve(handler, access_log=True, access_log_file=path)


def test_the_log_tells_the_bytes_and_the_version_of_a_stream(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    server = started(serve, log, COUNTS)
    reply = server.post("/predict", {"input": [1, 2]}, accept="application/x-ndjson")
    assert reply.status == 200
    (line,) = lines(log, 1)
    assert line["bytes_out"] == len(reply.body) > 0
    assert (line["status"], line["model"], line["version"]) == (200, "m", "1")
    assert metrics(server)["clouddeploy_requests_total", "POST", "/predict", "m", "1", "200"] == 1


def test_a_stream_whose_client_goes_is_a_line_too(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    server = started(serve, log, ENDLESS)
    body = b'{"input":[1,2]}'
    head = (
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(head + body)
        sock.recv(1 << 16)
        sock.recv(1 << 16)
    (line,) = lines(log, 1)
    assert line["bytes_out"] > 0
    assert line["status"] == 200
    assert metrics(server)["clouddeploy_clients_gone_total",] == 1
