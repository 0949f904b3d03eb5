"""Harnesses of keys and tokens, and of the files that hold them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import tempfile
import time
from functools import cache, partial
from pathlib import Path

from clouddeploy.errors import SpecError
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.guards import jwt_tokens
from clouddeploy.server.guards.api_keys import ApiKeys, read
from clouddeploy.server.guards.decompression import WINDOWS, Inflater
from clouddeploy.server.guards.watched import Watched
from tools.fuzz.outcome import outcome

SECRET = b"a secret of thirty-two bytes ...."
KEY = "cd_1f09ab34_" + "k" * 43
LIMIT = 1 << 16


def token(data: bytes) -> None:
    """A token: as it comes when the first byte is even, else rightly signed with the rest as its claims."""
    if not data:
        return
    text = data[1:].decode("latin-1") if data[0] % 2 == 0 else _signed(data[1:])
    name = outcome(lambda: _tokens().name(text), WireError)
    if isinstance(name, WireError):
        assert name.code == "unauthorized", name.code
    else:
        assert data[0] % 2, "a token that nobody signed"
        assert name.encode()


def key_set(data: bytes) -> None:
    """The keys that sign tokens: a JWK set or PEM."""
    found = outcome(lambda: jwt_tokens.parsed(data, "keys"), SpecError)
    assert str(found)


def key_file(data: bytes) -> None:
    """A file of API keys, and then a key that is asked for."""
    path = _scratch()
    path.write_bytes(data)
    found = outcome(lambda: read(path), SpecError)
    if isinstance(found, SpecError):
        return
    name = outcome(lambda: ApiKeys(path).name(KEY), WireError)
    if isinstance(name, WireError):
        assert name.code == "unauthorized"
    else:
        ends = found[KEY[3:11]].expires
        assert ends is None or ends > time.time() - 60, "a key that has expired"


def api_key(data: bytes) -> None:
    """What a client sends as its key."""
    path, text = _scratch("known.json"), data.decode("latin-1")
    if not path.exists():
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        row = {"id": "1f09ab34", "name": "n", "sha256": digest, "created": 0}
        path.write_text(json.dumps({"version": 1, "keys": [row]}))
    name = outcome(lambda: ApiKeys(path).name(text), WireError)
    if text == KEY:
        assert name == "n"
    else:
        assert isinstance(name, WireError)
        assert name.code == "unauthorized"


def compressed(data: bytes) -> None:
    """A compressed body never becomes more than is allowed."""
    for window in sorted(set(WINDOWS.values())):
        found = outcome(partial(Inflater(LIMIT, 10).inflated, data, window), WireError)
        if isinstance(found, WireError):
            assert found.code in ("bad_request", "too_large")
        else:
            assert len(found) <= LIMIT


def _signed(claims: bytes) -> str:
    def text(part: bytes) -> bytes:
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    head = text(b'{"alg":"HS256","typ":"JWT"}') + b"." + text(claims)
    return (head + b"." + text(hmac.new(SECRET, head, "sha256").digest())).decode()


@cache
def _tokens() -> jwt_tokens.Tokens:
    path = _scratch("secret")
    path.write_bytes(SECRET)
    return jwt_tokens.Tokens(Watched(path, jwt_tokens._read_secret), ["HS256"])


@cache
def _folder(_: int) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz-")


def _scratch(name: str = "keys.json") -> Path:
    return Path(_folder(os.getpid()).name) / name
