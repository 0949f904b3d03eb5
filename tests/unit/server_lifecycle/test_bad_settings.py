"""What can't be used is told at the start, by the server itself: what, why and what to do; exit code 2."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.server.guards.api_keys import make, write
from clouddeploy.testing.served import ServerProcess, until, write_model

PEM = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
FILES = {
    "a certificate that is none": ({"tls_certificate": PEM, "tls_key": PEM}, "can't be used"),
    "a certificate without its key": ({"tls_certificate": PEM}, "tls_key"),
    "keys that are none": ({"api_keys": '{"keys": [1]}'}, "is no file of API keys"),
    "an expiry that never is": (
        {"api_keys": json.dumps({"keys": [{"id": "1", "name": "n", "sha256": "0" * 64, "created": 0,
                                           "expires": float("nan")}]})},
        "is no file of API keys",
    ),
    "token keys that are none": ({"jwt_keys": "{}"}, "holds no keys for tokens"),
    "token keys nested without end": ({"jwt_keys": "[" * 100_000}, "holds no keys for tokens"),
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", 1)


def refused(model: Path, words: str, **settings: Any) -> None:
    with ServerProcess(model, ready=False, **settings) as server:
        assert server.process.wait(60) == 2
        until(lambda: any(line.strip().startswith("fix:") for line in server.lines), "the fix is told")
        assert words in "\n".join(server.lines)
        assert "Traceback" not in "\n".join(server.lines)


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_cant_be_used_is_told_at_the_start(model: Path, tmp_path: Path, what: str) -> None:
    contents, words = FILES[what]
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    refused(model, words, **{name: tmp_path / name for name in contents})


def test_a_port_in_use_is_told_also_that_of_grpc(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(model, str(port), port=port)
        refused(model, f"gRPC can't listen on 127.0.0.1:{port}", grpc_port=port)


def test_a_key_that_has_expired_is_refused_with_the_day(model: Path, tmp_path: Path) -> None:
    old, kept = make("old", time.time() - 200_000, days=1)
    new, fresh = make("new", time.time(), days=1)
    write(tmp_path / "keys.json", {one.id: one for one in (kept, fresh)})
    with ServerProcess(model, api_keys=tmp_path / "keys.json") as server:
        answer = server.call("/predict", {"input": [1, 2]}, headers={"x-api-key": old})
        assert (answer.status, answer.body["error"]["code"]) == (401, "unauthorized")
        assert "expired at 2" in answer.body["error"]["message"]
        assert server.call("/predict", {"input": [1, 2]}, headers={"x-api-key": new}).status == 200
