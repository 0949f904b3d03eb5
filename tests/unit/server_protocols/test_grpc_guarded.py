"""Over gRPC a client meets the same guards as over HTTP, and the same certificate."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

grpc = pytest.importorskip("grpc")
pytest.importorskip("cryptography.x509")

from clouddeploy.server.guards.api_keys import add  # noqa: E402
from clouddeploy.server.protocols.grpc import address  # noqa: E402
from clouddeploy.testing.served import ServerProcess, until, write_model  # noqa: E402
from tests.unit.server_guards.test_tls import issue  # noqa: E402
from tests.unit.server_protocols.conftest import Serve, Server  # noqa: E402
from tests.unit.server_protocols.test_grpc import Client, tensor  # noqa: E402

BODY: dict[str, Any] = {"model_name": "m", "inputs": [tensor(fp32_contents=[1, 2])]}


@contextmanager
def calling(serve: Serve, authority: Path | None = None, **settings: Any) -> Iterator[tuple[Server, Client]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = serve(grpc_port=port, **settings)
    client = Client(port)
    if authority is not None:
        client.channel.close()
        client.channel = secure(port, authority)
    yield server, client
    client.channel.close()


def secure(port: int, authority: Path, **own: bytes) -> Any:
    """A channel that trusts `authority` alone."""
    known = grpc.ssl_channel_credentials(authority.read_bytes(), **own)
    options = (("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1))
    return grpc.secure_channel(f"127.0.0.1:{port}", known, options)


def test_a_call_needs_the_key_that_a_request_needs(serve: Serve, tmp_path: Path) -> None:
    key = add(tmp_path / "keys.json", "a")
    with calling(serve, api_keys=tmp_path / "keys.json") as (_, client):
        refused = client.refused("ModelInfer", **BODY)
        assert refused.code() == grpc.StatusCode.UNAUTHENTICATED
        assert dict(refused.trailing_metadata())["x-clouddeploy-error"] == "unauthorized"
        wrong = client.refused("ModelInfer", metadata=(("x-api-key", "cd_wrong"),), **BODY)
        assert wrong.code() == grpc.StatusCode.UNAUTHENTICATED
        for given in (("x-api-key", key), ("authorization", f"Bearer {key}")):
            assert client.call("ModelInfer", metadata=(given,), **BODY).outputs
        assert client.refused("ModelMetadata", name="m").code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_call_needs_the_token_that_a_request_needs(serve: Serve, tmp_path: Path) -> None:
    import base64
    import hashlib
    import hmac
    import json
    import time

    secret = b"a secret of more than thirty-two bytes"
    (tmp_path / "secret").write_bytes(secret)

    def part(value: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT"}) + b"." + part({"sub": "a", "exp": int(time.time()) + 60})
    mac = base64.urlsafe_b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).rstrip(b"=")
    token = (signed + b"." + mac).decode()
    with calling(serve, jwt_keys=str(tmp_path / "secret"), jwt_algorithms="HS256") as (_, client):
        assert client.call("ModelInfer", metadata=(("authorization", f"Bearer {token}"),), **BODY).outputs
        bad = client.refused("ModelInfer", metadata=(("authorization", f"Bearer {token[:-4]}AAAA"),), **BODY)
        assert bad.code() == grpc.StatusCode.UNAUTHENTICATED


def test_calls_and_requests_count_for_one_rate(serve: Serve) -> None:
    with calling(serve, rate=0.1, burst=2) as (server, client):
        assert server.post("/predict", {"input": [1, 2]}).status == 200
        assert client.call("ModelInfer", **BODY).outputs
        refused = client.refused("ModelInfer", **BODY)
        assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert 9 <= int(dict(refused.trailing_metadata())["retry-after"]) <= 10
        assert server.post("/predict", {"input": [1, 2]}).status == 429


def test_the_tensors_of_a_call_are_limited(serve: Serve) -> None:
    with calling(serve, max_elements=1) as (_, client):
        assert client.refused("ModelInfer", **BODY).code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        ("ipv4:10.0.0.1:5000", "10.0.0.1"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("ipv6:[2001:db8::1]:5000", "2001:db8::1"),
        ("unix:", "unix"),
    ],
)
def test_the_address_of_a_client_is_read(peer: str, found: str) -> None:
    assert address(peer) == found


def test_a_client_over_ipv6_is_counted(serve: Serve) -> None:
    with calling(serve, rate=0.1, burst=1, host="::1") as (server, client):
        client.channel.close()
        client.channel = grpc.insecure_channel(f"[::1]:{server.app.settings.grpc_port}")
        assert client.call("ModelInfer", **BODY).outputs
        assert client.refused("ModelInfer", **BODY).code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_calls_are_answered_over_tls_and_no_others(serve: Serve, tmp_path: Path) -> None:
    files = issue(tmp_path)
    with calling(serve, files["tls_certificate"], **files) as (server, client):
        assert client.call("ModelInfer", **BODY).outputs
        plain = Client(server.app.settings.grpc_port)
        assert plain.refused("ModelInfer", **BODY).code() == grpc.StatusCode.UNAVAILABLE
        plain.channel.close()


def test_calls_use_a_changed_certificate_and_never_a_broken_one(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = issue(tmp_path, "first")
    first = tmp_path / "first.pem"
    first.write_bytes(files["tls_certificate"].read_bytes())
    with calling(serve, files["tls_certificate"], **files) as (server, client):
        assert client.call("ModelInfer", **BODY).outputs
        port = server.app.settings.grpc_port
        files["tls_certificate"].write_text("no certificate")
        with caplog.at_level(logging.ERROR):
            kept = Client(port)
            kept.channel = secure(port, first)
            assert kept.call("ModelInfer", **BODY).outputs, "the old one stays"
            kept.channel.close()
        assert "keeps the one it has" in caplog.text
        issue(tmp_path, "second")
        new = Client(port)
        new.channel = secure(port, files["tls_certificate"])
        assert new.call("ModelInfer", **BODY).outputs
        new.channel.close()
        assert client.call("ModelInfer", **BODY).outputs, "connections that there are stay"


def test_calls_need_a_client_s_certificate_when_an_authority_is_named(serve: Serve, tmp_path: Path) -> None:
    files = issue(tmp_path)
    with calling(serve, files["tls_certificate"], **files, tls_client_ca=files["tls_certificate"]) as (
        server,
        client,
    ):
        assert client.refused("ModelInfer", **BODY).code() == grpc.StatusCode.UNAVAILABLE
        known = Client(server.app.settings.grpc_port)
        own = {"private_key": files["tls_key"], "certificate_chain": files["tls_certificate"]}
        known.channel = secure(
            server.app.settings.grpc_port,
            files["tls_certificate"],
            **{name: path.read_bytes() for name, path in own.items()},
        )
        assert known.call("ModelInfer", **BODY).outputs
        known.channel.close()


SLOW = """\
import time


def predict(inputs):
    time.sleep(max(0.05, float(inputs[0, 0])))  # long enough for a thread of its own
    return inputs
"""


def test_at_the_end_calls_are_answered_and_no_more_are_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    model = write_model(tmp_path / "model", 1, handler=SLOW)
    with ServerProcess(model, grpc_port=port, name="m", max_batch=1) as server:
        clients = [Client(port) for _ in range(2)]
        assert clients[0].call("ServerLive").live
        found: list[Any] = []

        def ask() -> None:
            inputs = [tensor(fp32_contents=[1.5, 2])]
            found.append(clients[0].call("ModelInfer", model_name="m", inputs=inputs).outputs)

        def ask_too() -> None:
            found.append(server.call("/predict", {"input": [1.5, 2]}).body)

        asking, others = threading.Thread(target=ask), threading.Thread(target=ask_too)
        asking.start()
        time.sleep(0.2)
        others.start()
        time.sleep(0.2)
        server.signal(signal.SIGTERM)

        def taken() -> bool:
            try:
                return bool(clients[1].call("ServerLive", timeout=1).live)
            except grpc.RpcError:
                return False

        until(lambda: not taken(), "no more calls are taken")
        assert asking.is_alive(), "while the one before is under way"
        asking.join(20)
        others.join(20)
        assert len(found) == 2
        assert server.process.wait(20) == 0
        for client in clients:
            client.channel.close()
