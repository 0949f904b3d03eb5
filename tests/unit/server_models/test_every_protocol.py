"""Weights, sticky keys and shadows treat every protocol's requests alike."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.server.models.assignment import pick
from clouddeploy.testing.served import ServerProcess, until, write_model
from tests.unit.server_models.test_versions_served import ENVIRON, TOKEN, admin

grpc = pytest.importorskip("grpc")

V2_BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
TF_ROWS = {"instances": [[1, 2]]}


class Asking:
    """A server of the versions 1 and 2, and which version answers in each protocol."""

    def __init__(self, server: ServerProcess, port: int) -> None:
        self.server, self.port = server, port

    def wire(self, headers: dict[str, str]) -> str:
        return self._version("/models/double/predict", {"input": [1, 2]}, headers)

    def invoke(self, headers: dict[str, str]) -> str:
        return self._version("/models/double/invoke", {"input": [1, 2]}, headers)

    def tfserving(self, headers: dict[str, str]) -> str:
        return self._version("/v1/models/double:predict", TF_ROWS, headers)

    def columns(self, headers: dict[str, str]) -> str:
        return self._version("/v1/models/double:predict", {"inputs": [[1, 2]]}, headers)

    def v2(self, headers: dict[str, str]) -> str:
        return self._version("/v2/models/double/infer", V2_BODY, headers)

    def _version(self, path: str, body: Any, headers: dict[str, str]) -> str:
        answer = self.server.call(path, body, headers=headers)
        assert answer.status == 200, answer.body
        return answer.headers["x-clouddeploy-version"]

    def grpc(self, headers: dict[str, str]) -> str:
        from tests.unit.server_protocols.test_grpc import Client, tensor

        client = Client(self.port)
        inputs = [tensor(fp32_contents=[1, 2])]
        try:
            metadata = tuple(headers.items())
            return str(
                client.call("ModelInfer", model_name="double", inputs=inputs, metadata=metadata).model_version
            )
        finally:
            client.channel.close()


PROTOCOLS: list[Callable[[Asking, dict[str, str]], str]] = [
    *(Asking.wire, Asking.invoke, Asking.tfserving, Asking.columns, Asking.v2, Asking.grpc)
]


def begun(models: Path, state: Path) -> tuple[ServerProcess, int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"workers": 2, "versions": "all", "state": state, "grpc_port": port}
    return ServerProcess(models, environ=ENVIRON, **settings), port


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for number in (1, 2):
        write_model(tmp_path / "models" / "double" / str(number), number)
    return tmp_path / "models"


@pytest.fixture
def asking(models: Path, tmp_path: Path) -> Iterator[Asking]:
    server, port = begun(models, tmp_path / "state.json")
    with server:
        yield Asking(server, port)


def test_a_key_gets_the_same_version_by_every_protocol_in_every_worker_and_after_a_restart(
    models: Path, tmp_path: Path
) -> None:
    weights = {"1": 50.0, "2": 50.0}
    body = {"weights": weights, "sticky": "header:x-user", "salt": "s"}
    keys = [f"user {number}" for number in range(12)]
    expected = {key: pick("double", "s", key, weights) for key in keys}
    assert set(expected.values()) == {"1", "2"}
    for turn in range(2):
        server, port = begun(models, tmp_path / "state.json")
        with server:
            if not turn:
                assert admin(server, "/weights", body, "PUT").status == 200
            asking = Asking(server, port)

            def dealt(asking: Asking = asking) -> dict[str, set[str]]:
                return {
                    key: {ask(asking, {"x-user": key}) for ask in PROTOCOLS for _ in range(2)} for key in keys
                }

            until(lambda dealt=dealt: dealt() == {k: {v} for k, v in expected.items()}, "all agree")


@pytest.mark.parametrize("ask", PROTOCOLS)
def test_weights_deal_the_requests_of_every_protocol(
    asking: Asking, ask: Callable[[Asking, dict[str, str]], str]
) -> None:
    assert admin(asking.server, "/weights", {"1": 50, "2": 50}, "PUT").status == 200
    until(lambda: {ask(asking, {}) for _ in range(12)} == {"1", "2"}, "both answer")


def copies(server: ServerProcess) -> Counter[str]:
    admin(server, "/labels", {"any": "1"}, "PUT")  # lets the workers tell anew
    workers = server.call("/v1/admin/models", headers=TOKEN).body["workers"].values()
    found: Counter[str] = Counter()
    for worker in workers:
        found.update(worker["shadows"].get("double/2", {}))
    return found


@pytest.mark.parametrize("ask", PROTOCOLS)
@pytest.mark.parametrize("what", ["different", "same"])
def test_a_shadow_gets_copies_of_the_requests_of_every_protocol(
    models: Path, tmp_path: Path, ask: Callable[[Asking, dict[str, str]], str], what: str
) -> None:
    if what == "same":
        write_model(models / "double" / "2", 1)
    server, port = begun(models, tmp_path / "state.json")
    with server:
        assert admin(server, "/weights", {"1": 100}, "PUT").status == 200
        assert admin(server, "/shadow", {"version": "2", "percent": 100}, "PUT").status == 200
        asking = Asking(server, port)

        def copied() -> bool:
            assert ask(asking, {}) in ("1", "2")
            return copies(server)[what] > 2

        until(copied, "copies are compared")
        others = {"different", "same", "failed", "not_compared"} - {what}
        assert not others & set(copies(server))


def test_who_names_a_version_is_copied_to_nobody(asking: Asking) -> None:
    server = asking.server
    assert admin(server, "/weights", {"1": 100}, "PUT").status == 200
    assert admin(server, "/shadow", {"version": "2", "percent": 100}, "PUT").status == 200
    for _ in range(6):
        assert server.call("/v1/models/double/versions/1:predict", TF_ROWS).status == 200
        assert server.call("/v2/models/double/versions/1/infer", V2_BODY).status == 200
    assert not copies(server)
