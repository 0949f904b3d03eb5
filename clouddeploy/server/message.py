"""One request and one response, as every protocol of the server sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

from clouddeploy.runtime.errors import WireError

if TYPE_CHECKING:
    from clouddeploy.server.routing import Route

JSON = "application/json"
TIMEOUT = "x-timeout-ms"
"""Header with the milliseconds that a client waits."""
KEEPING = b"\r\nconnection: keep-alive\r\n\r\n"
KNOWN = 256
Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Head:
    """The first line and the headers of a request, parsed.

    Never changed once it is made, but for `route`; frozen it would cost several times as much to make.

    Args:
        method: upper-case.
        path: decoded, without the query.
        query: what follows the question mark, as it was sent.
        headers: by lower-case name; several of one name are joined by a comma.
        length: bytes of the body; -1 when it comes in chunks.
        keep: whether the connection stays open afterwards.
        version: ``1.0`` or ``1.1``.
        expects: the client waits for ``100 Continue`` before it sends the body.

    Attributes:
        accept: the header of that name, or ``*/*``.
        content_type: the header of that name, or JSON's.
        timeout: the header ``x-timeout-ms``; None without one.
        ending: what follows the last value in the head of an answer that leaves the connection open.
        route: who answers, once it is known.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    length: int
    keep: bool
    version: str
    expects: bool
    accept: str = field(init=False, repr=False, compare=False)
    content_type: str = field(init=False, repr=False, compare=False)
    timeout: str | None = field(init=False, repr=False, compare=False)
    ending: bytes = field(init=False, repr=False, compare=False)
    route: Route | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Look up once what every request of that head is asked for."""
        get = self.headers.get
        self.accept = get("accept", "*/*")
        self.content_type = get("content-type", JSON)
        self.timeout = get(TIMEOUT)
        self.ending = KEEPING if self.version == "1.0" else b"\r\n\r\n"
        self.route = None

    def routed(self, route: Route) -> Route:
        """Remember who answers requests with this head."""
        self.route = route
        return route

    def with_headers(self, more: Iterable[tuple[str, str]]) -> Head:
        """The same with headers that tell nothing of what the attributes hold."""
        found = Head.__new__(Head)
        found.method, found.path, found.query = self.method, self.path, self.query
        found.headers = self.headers.copy()
        found.headers.update(more)
        found.length, found.keep, found.version = self.length, self.keep, self.version
        found.expects, found.accept, found.content_type = self.expects, self.accept, self.content_type
        found.timeout, found.ending, found.route = self.timeout, self.ending, self.route
        return found


@dataclass(slots=True)
class Request:
    """One request, complete.

    Args:
        head: first line and headers.
        body: the body's bytes.
        peer: address of the client, as ``host``.
    """

    head: Head
    body: bytes
    peer: str = ""

    @property
    def method(self) -> str:
        """Upper-case."""
        return self.head.method

    @property
    def path(self) -> str:
        """Decoded, without the query."""
        return self.head.path

    @property
    def query(self) -> str:
        """What follows the question mark, as it was sent."""
        return self.head.query

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name. Shared between requests with the same head: never change it."""
        return self.head.headers


@dataclass(slots=True)
class Response:
    """One response, complete; its length is written by the connection.

    Never changed once it is made; frozen it would cost five times as much to make, for every request.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Headers = field(default=())


class Refused(WireError):
    """An error whose answer has headers of its own.

    Args:
        code: of the wire contract.
        message: what is wrong.
        fix: what the caller can do.
        headers: of the answer.
    """

    def __init__(self, code: str, message: str, fix: str, headers: Headers) -> None:
        super().__init__(code, message, fix)
        self.headers = headers


def refusal(error: WireError, headers: Headers = ()) -> Response:
    """The wire contract's answer to `error`."""
    headers = (*getattr(error, "headers", ()), *headers)
    if error.status in (429, 503):
        seconds: int = getattr(error, "retry_after_s", 1)  # those that know it tell it
        headers = (("retry-after", str(seconds)), *headers)
    elif error.status == 405:
        # RFC 9110, section 15.5.6
        headers = (("allow", getattr(error, "allow", "")), *headers)
    return Response(error.status, error.body(), JSON, headers)


class ResponseHeads:
    """The beginnings of responses, written once: most responses differ in length and id alone.

    Attributes:
        always: headers of every response.
        pages: headers of those that browsers show.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, Headers], bytes] = {}
        self.always: Headers = ()
        self.pages: Headers = ()
        self._date = ""
        self._second = 0

    def date(self, now: float) -> None:
        """Let responses carry the time `now`, in seconds of the epoch."""
        if int(now) != self._second:
            self._second, self._date = int(now), f"date: {formatdate(now, usegmt=True)}\r\n"
            self._known.clear()

    def get(self, status: int, content_type: str, headers: Headers) -> bytes:
        """Status line, media type and `headers`, without the empty line that ends a head."""
        key = (status, content_type, headers)
        found = self._known.get(key)
        if found is None:
            pairs = (("content-type", content_type), *headers) if content_type else headers
            own = {name for name, _ in pairs}
            more = (*self.always, *(self.pages if content_type.startswith("text/html") else ()))
            pairs = (*pairs, *(pair for pair in more if pair[0] not in own))
            lines = self._date + "".join(f"{name}: {_one_line(value)}\r\n" for name, value in pairs)
            found = b"HTTP/1.1 %d %b\r\n%b" % (status, _phrase(status), lines.encode("latin-1", "replace"))
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[key] = found
        return found


def _one_line(value: str) -> str:
    """A header's value without what would end it: text of a model's must not write headers."""
    return value.replace("\r", " ").replace("\n", " ")


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
