"""JSON Web Tokens, such as an OpenID provider gives them, verified by PyJWT.

The algorithms are those of the settings, never the token's choice. Symmetric ones can't be mixed with others:
a public key must not become the secret of an HMAC (RFC 8725, sections 2.1 and 3.1).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clouddeploy.errors import SpecError, TargetError
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.guards.watched import Watched

if TYPE_CHECKING:
    from clouddeploy.server.settings import ServerSettings

SYMMETRIC = frozenset(("HS256", "HS384", "HS512"))
KNOWN = SYMMETRIC | {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)} | {"EdDSA"}
SHORTEST_SECRET = 32
"""Bytes of an HMAC's secret (RFC 7518, section 3.2)."""
FETCH_S, AGAIN_S, LONGEST = 5.0, 10.0, 1 << 20
"""A fetch of keys: seconds that it may take, and that must lie between two; bytes of the answer."""
MEMO = 4096
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NO_KEY = "the token was signed by a key that isn't known here"
log = logging.getLogger(__name__)
Keys = dict[str, Any]
"""Public keys by id, or one for tokens without, under the empty id."""


def tokens_of(settings: ServerSettings) -> Tokens:
    """The verifier that the settings ask for.

    Raises:
        SpecError: they contradict each other, or the keys can't be used.
        TargetError: PyJWT isn't installed.
    """
    if importlib.util.find_spec("jwt") is None or importlib.util.find_spec("cryptography") is None:
        raise TargetError(
            "tokens can't be verified", why="PyJWT isn't installed", fix="pip install 'clouddeploy[auth]'"
        )
    algorithms = [name.strip() for name in settings.jwt_algorithms.split(",")]
    strange = [name for name in algorithms if name not in KNOWN]
    symmetric = [name for name in algorithms if name in SYMMETRIC]
    if strange or (symmetric and len(symmetric) < len(algorithms)):
        raise SpecError(
            f"ServerSettings.jwt_algorithms is {settings.jwt_algorithms!r}",
            why=f"{strange[0]!r} isn't known" if strange else "a shared secret and public keys don't mix",
            fix="name some of RS256, PS256, ES256, EdDSA, …, or only HS256",
        )
    read: Callable[[Path], Keys] = _read_secret if symmetric else lambda path: parsed(path.read_bytes(), path)
    source: Watched[Keys] | Fetched
    if "://" in settings.jwt_keys:
        source = Fetched(settings.jwt_keys, settings.jwt_cache_s)
        if symmetric:
            raise SpecError("a shared secret has no URL", why=settings.jwt_keys, fix="name a file")
    else:
        source = Watched(Path(settings.jwt_keys), read)
    return Tokens(source, algorithms, settings.jwt_issuer, settings.jwt_audience, settings.jwt_leeway_s)


def _read_secret(path: Path) -> Keys:
    secret = path.read_bytes().strip()
    if secret.startswith((b"-----BEGIN", b"{", b"ssh-")) or len(secret) < SHORTEST_SECRET:
        raise SpecError(
            f"{str(path)!r} holds no shared secret",
            why=f"it is a public key, or shorter than {SHORTEST_SECRET} bytes",
            fix="write 32 random bytes or more to it, or name the algorithm of the key",
        )
    return {"": secret}


def parsed(data: bytes, where: object) -> Keys:
    """The keys in a JWK set or in a public key's PEM.

    Raises:
        SpecError: there are none.
    """
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return {"": load_pem_public_key(data)}
        found: Keys = {}
        for row in json.loads(data)["keys"]:
            if row.get("use", "sig") == "sig" and row.get("kty") != "oct":
                found[str(row.get("kid", ""))] = jwt.PyJWK(row).key
    except (
        *(ValueError, TypeError, KeyError, AttributeError, RecursionError),
        *(jwt.PyJWTError, UnsupportedAlgorithm),
    ) as error:
        raise SpecError(
            f"{str(where)!r} holds no keys for tokens",
            why=f"{type(error).__name__}: {error}",
            fix="name a JWK set",
        ) from error
    if not found:
        raise SpecError(
            f"{str(where)!r} holds no key for signatures", why="the set is empty", fix="name another"
        )
    return found


class Fetched:
    """Keys behind a URL, fetched when they are old or when a token names one that isn't known.

    Args:
        url: of the JWK set; https, or of this machine.
        cache_s: seconds after which they are old.
        clock: seconds.
    """

    def __init__(self, url: str, cache_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise SpecError(
                f"ServerSettings.jwt_keys is {url!r}",
                why="who is on the way could replace the keys",
                fix="use https",
            )
        self._url, self._cache_s, self._clock = url, cache_s, clock
        self._keys: Keys = {}
        self._tried = self._got = float("-inf")
        self._task: asyncio.Task[None] | None = None

    @property
    def content(self) -> Keys:
        """The keys as last fetched."""
        if self._clock() - self._got > self._cache_s:
            self.renew()
        return self._keys

    @property
    def fetching(self) -> bool:
        """Whether others may be known in a moment."""
        return self._task is not None and not self._task.done()

    def renew(self) -> None:
        """Begin to fetch, unless that was tried lately."""
        now = self._clock()
        if not self.fetching and now - self._tried >= min(AGAIN_S, self._cache_s):
            self._tried = now
            self._task = asyncio.ensure_future(self.fetch())

    async def fetch(self) -> None:
        """Fetch the keys; those that were known stay when that fails."""
        try:
            self._keys = parsed(await asyncio.to_thread(self._load), self._url)
            self._got = self._clock()
        except (OSError, SpecError) as error:
            log.error("the keys for tokens can't be fetched from %s: %s", self._url, error)

    def _load(self) -> bytes:
        with urllib.request.urlopen(self._url, timeout=FETCH_S) as response:
            data: bytes = response.read(LONGEST)
        return data


class Tokens:
    """Tells whose a token is.

    Args:
        source: of the keys.
        algorithms: that are taken.
        issuer: that must have given the token; empty for any.
        audience: for whom it must be; empty for any.
        leeway_s: seconds by which clocks may differ.
    """

    def __init__(
        self,
        source: Watched[Keys] | Fetched,
        algorithms: list[str],
        issuer: str = "",
        audience: str = "",
        leeway_s: float = 0,
    ) -> None:
        self._source, self._algorithms, self._leeway_s = source, algorithms, leeway_s
        self._issuer, self._audience = issuer, audience
        self._known: dict[str, tuple[str, float]] = {}
        self._keys: Keys | None = None

    async def start(self) -> None:
        """Have keys before the first request."""
        if isinstance(self._source, Fetched):
            await self._source.fetch()

    def takes(self, text: str) -> bool:
        """Whether `text` looks like a token."""
        return text.count(".") == 2

    def name(self, text: str) -> str:
        """The token's subject.

        Raises:
            WireError: ``unauthorized``, or ``not_ready`` while keys are fetched.
        """
        keys = self._source.content
        if keys is not self._keys:  # a key that was withdrawn vouches for nobody any more
            self._known.clear()
            self._keys = keys
        found = self._known.get(text)
        if found is None or found[1] <= time.time():
            found = self._verified(text, keys)
            if len(self._known) >= MEMO:
                self._known.clear()
            self._known[text] = found
        return found[0]

    def _verified(self, text: str, keys: Keys) -> tuple[str, float]:
        import jwt

        try:
            claims = jwt.decode(
                text,
                self._key(jwt.get_unverified_header(text), keys),
                algorithms=self._algorithms,
                issuer=self._issuer or None,
                audience=self._audience or None,
                leeway=self._leeway_s,
                options={"require": ["exp"], "verify_aud": bool(self._audience)},
            )
            name = str(claims.get("sub") or claims.get("client_id") or "token")
            name.encode()  # it goes into logs and counts
            # PyJWT takes a number that is text, too.
            return name, int(claims["exp"]) + self._leeway_s
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise WireError("unauthorized", f"the token isn't valid: {error}", "send another") from error

    def _key(self, header: dict[str, Any], keys: Keys) -> Any:
        """The key for a token, which must be of the kind that its algorithm has."""
        algorithm, id = str(header.get("alg")), header.get("kid")
        if algorithm not in self._algorithms:
            raise WireError("unauthorized", f"the token's algorithm is {algorithm[:20]!r}", "use another")
        key = keys.get(str(id)) if id is not None and str(id) in keys else keys.get("")
        if key is None and id is None and len(keys) == 1:
            key = next(iter(keys.values()))
        if key is not None:
            return key
        if isinstance(self._source, Fetched):
            self._source.renew()
            if self._source.fetching:
                raise WireError("not_ready", "the keys for tokens are being fetched", "try again in a moment")
        raise WireError("unauthorized", NO_KEY, "send a token of the issuer's")
