"""TLS, forks, and many tasks at once."""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import ssl
from pathlib import Path
from typing import Any

import pytest

from clouddeploy import errors
from clouddeploy.client import AsyncClient, Client
from tests.unit.client.conftest import Hands
from tests.unit.client.misbehaving import Server, answering

GOOD = answering({"predictions": [1]})


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, in one file."""
    from ipaddress import IPv4Address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return path


def encrypting(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_trusted_server_is_spoken_to_over_one_encrypted_connection(connect: Any, certificate: Path) -> None:
    with Server([GOOD], encrypting(certificate)) as server:
        client = connect(server.url, tls=ssl.create_default_context(cafile=str(certificate)))
        for _ in range(3):
            assert client.predict([1]).tolist() == [1]
        assert server.connections == 1


def test_a_server_without_trust_is_told_at_once(connect: Any, hands: Hands, certificate: Path) -> None:
    with Server([GOOD], encrypting(certificate)) as server:
        with pytest.raises(errors.CloudError) as caught:
            connect(server.url, hands).predict([1])
    assert caught.value.code == "tls"
    assert hands.slept == []
    assert server.requests == []


def _predict(client: Client) -> None:
    assert client.predict([1]).tolist() == [1]


def test_a_forked_process_opens_connections_of_its_own() -> None:
    with Server([GOOD]) as server, Client(server.url) as client:
        client.predict([1])
        child = multiprocessing.get_context("fork").Process(target=_predict, args=(client,))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        client.predict([1])
        assert server.connections == 2


def test_many_tasks_share_a_few_connections() -> None:
    async def run(url: str) -> list[Any]:
        async with AsyncClient(url, connections=3) as client:
            return await asyncio.gather(*(client.predict([1]) for _ in range(50)))

    with Server([GOOD]) as server:
        assert [found.tolist() for found in asyncio.run(run(server.url))] == [[1]] * 50
        assert server.connections <= 3


def test_a_cancelled_call_gives_its_connection_up_and_leaves_the_client_usable() -> None:
    server = Server([])
    server.deeds += [server.stalling, GOOD]

    async def run() -> None:
        async with AsyncClient(server.url, connections=1) as client:
            call = asyncio.create_task(client.predict([1]))
            while not server.requests:
                await asyncio.sleep(0.005)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await client.predict([1])).tolist() == [1]

    with server:
        asyncio.run(run())
        assert server.connections == 2


def test_a_client_is_usable_in_one_loop_after_another() -> None:
    with Server([GOOD]) as server:
        client = AsyncClient(server.url)

        async def run() -> None:
            assert (await client.predict([1])).tolist() == [1]
            await client.close()

        for _ in range(2):
            asyncio.run(run())
