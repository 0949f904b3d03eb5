"""TLS: what is spoken, which files are refused, and a change of certificate."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

x509 = pytest.importorskip("cryptography.x509")

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

from clouddeploy.errors import SpecError  # noqa: E402
from clouddeploy.server import tls  # noqa: E402
from clouddeploy.server.app import App  # noqa: E402
from clouddeploy.server.main import check_protection  # noqa: E402
from clouddeploy.server.settings import ServerSettings  # noqa: E402
from clouddeploy.server.validity import complaint, period  # noqa: E402
from tests.unit.server_http.rig import GET, Server, routes, running  # noqa: E402

DAY = dt.timedelta(days=1)


def issue(
    folder: Path,
    name: str = "server",
    password: bytes | None = None,
    valid: tuple[dt.timedelta, dt.timedelta] = (-DAY, 30 * DAY),
) -> dict[str, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + valid[0])
        .not_valid_after(now + valid[1])
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    files = {"tls_certificate": folder / "cert.pem", "tls_key": folder / "key.pem"}
    pem = serialization.Encoding.PEM
    files["tls_certificate"].write_bytes(certificate.public_bytes(pem))
    files["tls_key"].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, hidden))
    return files


@contextmanager
def serving(files: dict[str, Path]) -> Iterator[tuple[Server, tls.Certificates]]:
    settings = ServerSettings(**files)  # type: ignore[arg-type]
    app = App(settings)
    routes(app)
    certificates = tls.Certificates(settings)
    with running(app, tls=certificates.context) as server:
        yield server, certificates


def connect(server: Server, **options: Any) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    for name, value in options.items():
        setattr(context, name, value)
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    return context.wrap_socket(sock, server_hostname="localhost")


def ask(secure: ssl.SSLSocket) -> bytes:
    secure.sendall(GET)
    found = b""
    while not found.endswith(b'{"status":"ok"}'):
        more = secure.recv(1 << 16)
        assert more
        found += more
    return found


def common_name(secure: ssl.SSLSocket) -> str:
    found = x509.load_der_x509_certificate(secure.getpeercert(True) or b"")
    return str(found.subject.rfc4514_string())


def test_requests_are_answered_over_tls_1_2_and_1_3_by_http_1_1(tmp_path: Path) -> None:
    with serving(issue(tmp_path)) as (server, _):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with connect(server, maximum_version=version) as secure:
                assert ask(secure).startswith(b"HTTP/1.1 200")
                assert secure.selected_alpn_protocol() == "http/1.1"


def test_what_isn_t_tls_gets_no_answer(tmp_path: Path) -> None:
    with serving(issue(tmp_path)) as (server, _):
        client = server.client()
        client.send(GET)
        assert b"HTTP/" not in client.rest()
        with connect(server) as secure:
            assert ask(secure)


def test_who_sends_too_much_can_read_why_over_tls(tmp_path: Path) -> None:
    with serving(issue(tmp_path)) as (server, _), connect(server) as secure:
        secure.sendall(
            b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 100_000
        )
        assert secure.recv(100).startswith(b"HTTP/1.1 413")


def test_a_changed_certificate_is_used_for_new_connections_and_old_ones_stay(tmp_path: Path) -> None:
    with serving(issue(tmp_path, "first")) as (server, certificates), connect(server) as old:
        assert common_name(old) == "CN=first"
        ask(old)
        issue(tmp_path, "second")
        assert server.call(certificates.look)
        assert not server.call(certificates.look), "nothing has changed since"
        with connect(server) as new:
            assert common_name(new) == "CN=second"
            ask(new)
        ask(old)


def test_half_a_change_is_not_used(tmp_path: Path) -> None:
    with serving(issue(tmp_path, "first")) as (server, certificates):
        (tmp_path / "other").mkdir()
        other = issue(tmp_path / "other", "second")
        (tmp_path / "cert.pem").write_bytes(other["tls_certificate"].read_bytes())
        assert not server.call(certificates.look)
        with connect(server) as secure:
            assert common_name(secure) == "CN=first"
            ask(secure)
        (tmp_path / "key.pem").write_bytes(other["tls_key"].read_bytes())
        assert server.call(certificates.look)
        with connect(server) as secure:
            assert common_name(secure) == "CN=second"


def test_files_that_can_t_be_used_are_refused_with_the_reason(tmp_path: Path) -> None:
    files = issue(tmp_path)
    (tmp_path / "other").mkdir()
    other = issue(tmp_path / "other", password=b"x")
    (tmp_path / "text").write_text("no PEM")
    for wrong, reason in (
        ({"tls_key": other["tls_key"]}, "password"),
        ({"tls_certificate": tmp_path / "text"}, "PEM"),
        ({"tls_key": tmp_path / "text"}, "PEM"),
        ({"tls_key": tmp_path / "nowhere"}, "can't be read"),
        ({"tls_certificate": other["tls_certificate"]}, "isn't the certificate's"),
        ({"tls_client_ca": tmp_path / "text"}, "authority"),
    ):
        with pytest.raises(SpecError, match=reason):
            tls.context_of(ServerSettings(**{**files, **wrong}))  # type: ignore[arg-type]


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    files = issue(tmp_path)
    assert tls.on(ServerSettings(**files))  # type: ignore[arg-type]
    assert not tls.on(ServerSettings())
    with pytest.raises(SpecError, match="tls_key is missing"):
        tls.on(ServerSettings(tls_certificate=files["tls_certificate"]))
    with pytest.raises(SpecError, match="tls_certificate is missing"):
        tls.on(ServerSettings(tls_key=files["tls_key"]))


def test_clients_need_a_certificate_when_an_authority_is_named(tmp_path: Path) -> None:
    files = issue(tmp_path)
    with serving({**files, "tls_client_ca": files["tls_certificate"]}) as (server, _):
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)), connect(server) as secure:
            ask(secure)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(files["tls_certificate"], files["tls_key"])
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        with context.wrap_socket(sock, server_hostname="localhost") as secure:
            assert ask(secure)


@pytest.mark.parametrize(
    ("valid", "says"),
    [
        ((-DAY, 30 * DAY), ""),
        ((-3 * DAY, -DAY), "expired at"),
        ((DAY, 30 * DAY), "isn't valid before"),
        ((-DAY, 2 * DAY), "expires at"),
        ((-DAY, 365 * 50 * DAY), ""),
    ],
)
def test_a_certificate_that_clients_refuse_is_told(
    tmp_path: Path, valid: tuple[dt.timedelta, dt.timedelta], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = issue(tmp_path, valid=valid)
    now = dt.datetime.now(dt.UTC)
    found = period(files["tls_certificate"])
    assert [abs(one - now - wanted) < DAY / 24 for one, wanted in zip(found, valid, strict=True)] == [
        True
    ] * 2
    check_protection(ServerSettings(**files))  # type: ignore[arg-type]
    assert bool(caplog.records) is bool(says)
    assert says in caplog.text


@pytest.mark.parametrize(
    "text", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----"]
)
def test_a_file_that_holds_no_certificate_is_told_rather_than_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "cert.pem").write_text(text)
    assert "can't be told" in complaint(tmp_path / "cert.pem", dt.datetime.now(dt.UTC))


def test_a_broken_change_is_told_and_the_certificate_before_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(issue(tmp_path, "first")) as (server, certificates):
        for broken in (b"", b"no PEM", (tmp_path / "cert.pem").read_bytes()[:-200]):
            (tmp_path / "cert.pem").write_bytes(broken)
            assert not server.call(certificates.look)
            with connect(server) as secure:
                assert common_name(secure) == "CN=first"
                ask(secure)
        (tmp_path / "cert.pem").unlink()
        assert not server.call(certificates.look)
        assert caplog.text.count("the new certificate isn't used, and the one before stays") == 4
        issue(tmp_path, "second", valid=(-2 * DAY, -DAY))
        assert server.call(certificates.look)
        assert "expired at" in caplog.text
        with connect(server) as secure:
            assert common_name(secure) == "CN=second"
