"""HTTP as registries need it: retries, bounded answers, streamed bodies, redirects without the secret.

The standard library's client, which also obeys the proxy variables of the environment.
"""

from __future__ import annotations

import http.client
import random
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import urljoin, urlsplit

from clouddeploy.errors import CloudError, Throttled

ANSWER_BYTES = 4 << 20
"""Manifests may have 4 MiB (OCI Distribution Specification, "Pushing Manifests"); nothing else is larger."""
PASSING = frozenset({500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
STORING_S = 600.0
"""Before it answers a PUT, a registry hashes the whole blob."""
AGENT = "clouddeploy"
Body = Callable[[], Iterable[bytes]]
Wire = Callable[[urllib.request.Request, float], Any]
"""Sends a request, waits so many seconds for each byte, and gives the open response; raises as urllib does.
Recorders and fault injectors wrap it."""


class Broken(CloudError):
    """The registry failed in a way that may pass, and still did after every retry."""

    retry_after_s: float = 0.0


class Slowed(Throttled):
    """The registry asked to slow down, and still did after every retry."""

    retry_after_s: float = 0.0


@dataclass(frozen=True)
class Retries:
    """How patient to be.

    Args:
        attempts: tries of one request at most.
        first_delay_s: the first pause's upper bound, doubled each time; 0 in tests.
        most_delay_s: its limit, and that of what a registry may ask for by ``Retry-After``.
        pause: waits; a deploy gives one that Ctrl-C ends.
    """

    attempts: int = 5
    first_delay_s: float = 0.5
    most_delay_s: float = 20.0
    pause: Callable[[float], None] = time.sleep

    def back_off(self, attempt: int, error: Broken | Slowed) -> None:
        """Wait before the try after the failed try number `attempt`, from 1."""
        asked = error.retry_after_s
        jitter = random.uniform(0, self.first_delay_s * 2.0 ** (attempt - 1))
        self.pause(min(self.most_delay_s, max(asked, jitter)))


@dataclass(frozen=True)
class Answer:
    """A whole answer: status, headers, and a body of bounded size."""

    url: str
    status: int
    headers: Message
    body: bytes = field(repr=False)


class _AsIs(urllib.request.HTTPErrorProcessor):
    """Hands every status to us; neither raises nor follows."""

    def http_response(self, request: Any, response: Any) -> Any:
        """The response itself."""
        return response

    https_response = http_response


def urllib_wire() -> Wire:
    """The standard library's client; to this machine itself it goes by no proxy."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), _AsIs)
    usual = urllib.request.build_opener(_AsIs)

    def send(request: urllib.request.Request, timeout_s: float) -> Any:
        opener = direct if is_loopback(urlsplit(request.full_url).hostname) else usual
        return opener.open(request, timeout=timeout_s)

    return send


class Client:
    """Sends requests to one registry, and follows where it points to.

    Args:
        retries: how patient to be.
        timeout_s: seconds without a byte after which a connection counts as broken.
        wire: sends the requests.
    """

    def __init__(self, retries: Retries, timeout_s: float, wire: Wire | None = None) -> None:
        self.retries = retries
        self._timeout_s = timeout_s
        self._wire = wire or urllib_wire()

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: Body | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """The answer to a request that may be sent again.

        Raises:
            Broken: it could not be reached, or failed, each time.
            Slowed: it asked to slow down, each time.
            CloudError: the answer is too large, or its TLS certificate isn't trusted.
        """
        most = attempts or self.retries.attempts
        for attempt in range(1, most + 1):
            try:
                return self._once(method, url, headers, body)
            except (Broken, Slowed) as error:
                if attempt == most:
                    raise
                self.retries.back_off(attempt, error)
        raise AssertionError("at least one attempt is made")

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: Body | None) -> Answer:
        try:
            with self.open(method, url, headers, body) as response:
                content = response.read(ANSWER_BYTES + 1)
                if response.length and len(content) <= ANSWER_BYTES:  # read says nothing of an early end
                    raise http.client.IncompleteRead(content, response.length)
                found = Answer(response.url, response.status, response.headers, content)
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(method, url, error) from error
        if len(content) > ANSWER_BYTES:
            raise CloudError(
                f"{method} {shown(url)} answers more than {ANSWER_BYTES:,} bytes",
                why="no manifest and no configuration of an image is that large",
                fix="check that the address is a registry's",
                operation=method,
            )
        refuse_passing(method, found.url, found.status, found.headers, content)
        return found

    def open(self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None) -> Any:
        """The open response, after redirects (of GET and HEAD alone); the caller closes it.

        The authorization goes to the first address's origin only: blobs often lie on another server.

        Raises:
            OSError, http.client.HTTPException: it could not be reached.
            CloudError: it is redirected in circles, or to plain HTTP.
        """
        carried = dict(headers)
        for _ in range(MOST_REDIRECTS):
            response = self._send(method, url, carried, body)
            target = response.headers.get("Location")
            if response.status not in REDIRECTS or method not in ("GET", "HEAD") or not target:
                return response
            response.close()
            following = urljoin(url, target)
            if origin(following) != origin(url):
                carried.pop("Authorization", None)
            check_scheme(following, url)
            url = following
        raise CloudError(
            f"{method} {shown(url)} is redirected more than {MOST_REDIRECTS} times", code="redirects"
        )

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Body | None) -> Any:
        data = b"" if body is None and method in ("POST", "PUT", "PATCH") else body() if body else None
        request = urllib.request.Request(
            url, data=data, method=method, headers={"User-Agent": AGENT, **headers}
        )
        timeout_s = max(self._timeout_s, STORING_S) if method == "PUT" else self._timeout_s
        try:
            return self._wire(request, timeout_s)
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise _untrusted(url, error.reason) from error
            raise


def refuse_passing(method: str, url: str, status: int, headers: Message, content: bytes = b"") -> None:
    """Raise for a status that may be another one soon.

    Raises:
        Broken, Slowed: see `Client.ask`.
    """
    if status != 429 and status not in PASSING:
        return
    error = (Slowed if status == 429 else Broken)(
        f"{method} {shown(url)} answered {status}",
        why=content[:200].decode("utf-8", "replace").strip() or http.client.responses.get(status, ""),
        fix="run it again: what was sent completely isn't sent again",
        code=str(status),
        operation=method,
    )
    asked = headers.get("Retry-After", "")
    error.retry_after_s = float(asked) if asked.isdigit() else 0.0
    raise error


def unreachable(method: str, url: str, error: Exception) -> Broken:
    """The error for a connection that can't be made, breaks, or stays silent."""
    return Broken(
        f"{method} {shown(url)} got no answer",
        why=f"{type(error).__name__}: {error}",
        fix="check the address and the network, then run it again: what was sent completely isn't sent again",
        code="unreachable",
        operation=method,
    )


def _untrusted(url: str, error: Exception) -> CloudError:
    return CloudError(
        f"the TLS certificate of {urlsplit(url).netloc} isn't trusted",
        why=str(error),
        fix="name your authority's certificates in the environment variable SSL_CERT_FILE",
        code="tls",
    )


def check_scheme(url: str, before: str) -> None:
    """Refuse to leave HTTPS, and anything but HTTP.

    Raises:
        CloudError: it points there.
    """
    now, was = urlsplit(url).scheme, urlsplit(before).scheme
    if now not in ("http", "https") or (was == "https" and now != "https"):
        raise CloudError(
            f"{shown(before)} points to {shown(url)}",
            why=f"from {was} we don't go on by {now or 'nothing'}",
            fix="check that the address is a registry's",
            code="redirects",
        )


def origin(url: str) -> tuple[str, str]:
    """Scheme and host with port: what a secret is meant for."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this machine, where plain HTTP and no proxy are right."""
    return host in LOOPBACK or (host or "").startswith("127.")


def shown(url: str) -> str:
    """An address without its query, which may carry a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
