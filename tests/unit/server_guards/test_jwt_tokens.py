"""Tokens: whose are taken, and every way in which one is forged."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

jwt = pytest.importorskip("jwt")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")

from clouddeploy.errors import SpecError  # noqa: E402
from clouddeploy.runtime.errors import WireError  # noqa: E402
from clouddeploy.server.guards.jwt_tokens import Tokens, tokens_of  # noqa: E402
from clouddeploy.server.settings import ServerSettings  # noqa: E402
from tests.unit.server_guards.conftest import Start  # noqa: E402

RSA, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())
SECRET = b"0123456789abcdef0123456789abcdef"


def jwk(key: Any, id: str, algorithm: str) -> dict[str, Any]:
    kind = jwt.algorithms.RSAAlgorithm if algorithm.startswith("RS") else jwt.algorithms.ECAlgorithm
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": id, "use": "sig", "alg": algorithm}


def pem(key: Any) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    found: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, kind)
    return found


def token(key: Any = RSA, algorithm: str = "RS256", id: str | None = "one", **claims: Any) -> str:
    given = {"sub": "ann", "iss": "https://id", "aud": "model", "exp": time.time() + 60, **claims}
    given = {name: value for name, value in given.items() if value is not None}
    found: str = jwt.encode(given, key, algorithm, headers={} if id is None else {"kid": id})
    return found


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [jwk(RSA, "one", "RS256"), jwk(EC, "two", "ES256")]}))
    return path


@pytest.fixture
def tokens(jwks: Path) -> Tokens:
    return made(jwt_keys=str(jwks), jwt_issuer="https://id", jwt_audience="model", jwt_leeway_s=5)


def made(**settings: Any) -> Tokens:
    return tokens_of(ServerSettings(**settings))


def test_a_good_token_tells_whose_it_is(tokens: Tokens) -> None:
    assert tokens.name(token()) == "ann"
    assert tokens.name(token(EC, "ES256", "two")) == "ann"
    assert tokens.name(token(exp=time.time() - 3)) == "ann", "clocks differ a little"
    assert tokens.name(token(aud=["other", "model"])) == "ann"


def forged(**header: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"sub": "eve", "iss": "https://id", "aud": "model", "exp": time.time() + 60}
    return f"{part(header)}.{part(claims)}."


def confused() -> str:
    """A token that is signed by HMAC with the public key, which everybody has."""
    import hashlib
    import hmac

    start = forged(alg="HS256", kid="one").rstrip(".")
    mac = hmac.new(pem(RSA), start.encode(), hashlib.sha256).digest()
    return f"{start}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


BAD = {
    "expired": lambda: token(exp=time.time() - 10),
    "never expires": lambda: token(exp=None),
    "not valid yet": lambda: token(nbf=time.time() + 60),
    "another issuer": lambda: token(iss="https://eve"),
    "no issuer": lambda: token(iss=None),
    "another audience": lambda: token(aud="other"),
    "no audience": lambda: token(aud=None),
    "another key": lambda: token(OTHER),
    "another key's id": lambda: token(id="two"),
    "an unknown id": lambda: token(id="three"),
    "no id where there are several keys": lambda: token(id=None),
    "no signature": lambda: forged(alg="none", kid="one"),
    "no signature, in capitals": lambda: forged(alg="NONE", kid="one"),
    "the algorithm confused": confused,
    "an algorithm that isn't allowed": lambda: token(algorithm="RS512"),
    "a changed claim": lambda: ".".join([*token().split(".")[:1], token(sub="eve").split(".")[1], "x"]),
    "a cut signature": lambda: token()[:-4],
    "garbage": lambda: "a.b.c",
    "nothing": lambda: "..",
    "no text": lambda: "\xff.\xff.\xff",
    "a critical extension": lambda: forged(alg="RS256", kid="one", crit=["x"]),
    "an id that is a list": lambda: forged(alg="RS256", kid=["one"]),
    "a key of its own": lambda: jwt.encode(
        {"sub": "eve", "iss": "https://id", "aud": "model", "exp": time.time() + 60},
        OTHER, "RS256", headers={"jwk": jwk(OTHER, "one", "RS256"), "kid": "one"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(WireError) as caught:
        tokens.name(BAD[name]())
    assert caught.value.code == "unauthorized"


def test_a_token_that_was_good_is_refused_once_it_expires(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = token()
    assert tokens.name(given) == "ann"
    tokens._known = {given: ("ann", time.time() - 1)}
    assert tokens.name(given) == "ann", "it is verified again"
    expired = token(exp=time.time() - 6)
    tokens._known = {expired: ("ann", time.time() - 1)}
    with pytest.raises(WireError, match="expired"):
        tokens.name(expired)


def test_one_public_key_is_enough(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem(RSA))
    tokens = made(jwt_keys=str(tmp_path / "key.pem"))
    assert tokens.name(token(id=None)) == "ann"
    with pytest.raises(WireError):
        tokens.name(token(OTHER))
    with pytest.raises(WireError):
        tokens.name(token(EC, "ES256"))


def test_a_shared_secret_is_possible(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    tokens = made(jwt_keys=str(path), jwt_algorithms="HS256")
    assert tokens.name(token(SECRET, "HS256")) == "ann"
    with pytest.raises(WireError):
        tokens.name(token(b"x" * 32, "HS256"))


def test_a_secret_that_is_short_or_a_public_key_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for data in (b"short", pem(RSA), json.dumps({"keys": [jwk(RSA, "one", "RS256")]}).encode()):
        path.write_bytes(data)
        with pytest.raises(SpecError, match="no shared secret"):
            made(jwt_keys=str(path), jwt_algorithms="HS256")


@pytest.mark.parametrize("algorithms", ["HS256,RS256", "none", "", "RS257"])
def test_algorithms_that_don_t_mix_or_aren_t_known_are_refused(jwks: Path, algorithms: str) -> None:
    with pytest.raises(SpecError, match="jwt_algorithms"):
        made(jwt_keys=str(jwks), jwt_algorithms=algorithms)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AA"}]}', '{"keys": [1]}']
)
def test_a_file_without_keys_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "jwks").write_text(text)
    with pytest.raises(SpecError):
        made(jwt_keys=str(tmp_path / "jwks"))


def test_keys_are_not_fetched_in_the_clear() -> None:
    with pytest.raises(SpecError, match="https"):
        made(jwt_keys="http://example.com/jwks.json")


class Provider(http.server.BaseHTTPRequestHandler):
    """Gives the keys that it has."""

    keys: list[dict[str, Any]] = []
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        body = json.dumps({"keys": self.keys}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quietly."""


@pytest.fixture
def provider() -> Iterator[str]:
    Provider.keys, Provider.asked = [jwk(RSA, "one", "RS256")], 0
    with http.server.HTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/jwks"
        server.shutdown()
        thread.join()


def test_keys_of_a_url_are_fetched_once_and_again_for_an_unknown_one(start: Start, provider: str) -> None:
    asked = start(jwt_keys=provider, jwt_cache_s=300)
    verifier = next(one for one in asked.server.app.before[0].__self__._verifiers)  # type: ignore[attr-defined]
    first = asked.ask(authorization=f"Bearer {token()}")
    assert first.status in (200, 503)
    asked.server.until(lambda: verifier._source._keys)
    for _ in range(5):
        assert asked.ask(authorization=f"Bearer {token()}").status == 200
    assert Provider.asked == 1
    Provider.keys.append(jwk(EC, "two", "ES256"))
    assert asked.ask(authorization=f"Bearer {token(EC, 'ES256', 'two')}").status == 401, "it was asked lately"
    verifier._source._tried -= 100
    assert asked.ask(authorization=f"Bearer {token(EC, 'ES256', 'two')}").status == 503
    asked.server.until(lambda: len(verifier._source._keys) == 2)
    assert asked.ask(authorization=f"Bearer {token(EC, 'ES256', 'two')}").status == 200
    assert Provider.asked == 2


def test_keys_and_tokens_can_both_be_taken(start: Start, jwks: Path, tmp_path: Path) -> None:
    from clouddeploy.server.guards.api_keys import add

    key = add(tmp_path / "keys.json", "phone")
    asked = start(api_keys=tmp_path / "keys.json", jwt_keys=str(jwks))
    assert asked.ask(authorization=f"Bearer {key}").status == 200
    assert asked.ask(authorization=f"Bearer {token()}").status == 200
    assert asked.ask(authorization="Bearer neither").status == 401
