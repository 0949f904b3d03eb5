"""Copies of requests to another version, whose answers are compared with those given, and dropped.

A copy begins after the request was answered, so nobody waits for it and nothing of it can reach anybody.
While the version has enough to do already, further copies are left out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.decode import JSON, Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError

if TYPE_CHECKING:
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.message import Request as HttpRequest
    from clouddeploy.server.message import Response
    from clouddeploy.server.models.loaded import Loaded

MOST = 32
"""Copies under way at once in one worker."""
WIRE = re.compile(r"/|/predict|/batch_predict|/invocations|/models/[^/:]+/(?:predict|invoke)")
"""Paths whose bodies are the wire contract's own."""
TOLERANCE = 1e-4
Watcher = Callable[["Exchange", "Response"], None]
Show = Callable[[Result], Any]
"""What an answer with these predictions says, as a JSON value."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Form:
    """How requests of one protocol are copied.

    Args:
        paths: of its requests.
        read: what a request asks of a version, and how that one's answer is shown for the comparison.
        given: what the body of the answer that was given says, shown alike.
    """

    paths: re.Pattern[str]
    read: Callable[[HttpRequest, Loaded], tuple[Request, Show]]
    given: Callable[[bytes], Any] = json.loads


def read_wire(request: HttpRequest, to: Loaded) -> tuple[Request, Show]:
    """As `Form.read`, for the wire contract.

    Raises:
        WireError: `to` doesn't take the request.
    """
    service = to.service
    asked = service.decode(request.body, request.headers.get("content-type", JSON))
    return asked, lambda result: json.loads(service.encode(result, JSON)[0])


@dataclass(frozen=True)
class Copy:
    """A request that another version shall answer too.

    Args:
        to: that version.
        exchange: the request, answered.
        response: what it was answered.
        form: of the request.
    """

    to: Loaded
    exchange: Exchange
    response: Response
    form: Form


class Shadows:
    """The copies of one worker.

    Attributes:
        forms: of the protocols, by the paths of their requests.
        counts: by ``(model, version)``, what became of the copies: ``same``, ``different``, ``failed``
            (of the copies that the version was given), ``left_out``.
    """

    def __init__(self) -> None:
        self.forms = [Form(WIRE, read_wire)]
        self.counts: dict[tuple[str, str], Counter[str]] = {}
        self._under_way = 0
        self._watchers: list[Watcher] | None = None

    def attach(self, watchers: list[Watcher]) -> None:
        """Take the list of those who are told of each response."""
        self._watchers = watchers

    def due(self, *, due: bool) -> None:
        """Be told of each response only while some version gets copies."""
        if self._watchers is None or due is (self.watch in self._watchers):
            return
        if due:
            self._watchers.append(self.watch)
        else:
            self._watchers.remove(self.watch)

    def watch(self, exchange: Exchange, response: Response) -> None:
        """Begin the copy of a request that was just answered, where one is due."""
        to = exchange.attributes.pop("shadow", None)
        if to is None or response.status != 200:
            return
        form = exchange.attributes.pop("form", None) or self._form(exchange.request.path)
        if form is None:
            return
        if self._under_way >= MOST:
            self._count(to, "left_out")
            return
        self._under_way += 1
        asyncio.get_running_loop().call_soon(self._submit, Copy(to, exchange, response, form))

    def _form(self, path: str) -> Form | None:
        return next((form for form in self.forms if form.paths.fullmatch(path)), None)

    def _submit(self, copy: Copy) -> None:
        shown: list[Show] = []

        def done(outcome: Any) -> None:
            self._under_way -= 1
            self._count(copy.to, _verdict(outcome, copy, shown))

        try:
            asked, show = copy.form.read(copy.exchange.request, copy.to)
            shown.append(show)
            copy.to.engine.submit(asked, None, done, f"{copy.exchange.id}-shadow")
        except WireError as error:
            done(error)
        except Exception as error:  # noqa: BLE001  # a copy must never cost anything but itself
            log.warning("the copy of %s failed: %s", copy.exchange.id, error)
            done(WireError("prediction_failed", str(error), ""))

    def _count(self, to: Loaded, what: str) -> None:
        self.counts.setdefault((to.name, to.version), Counter())[what] += 1


def _verdict(outcome: Any, copy: Copy, shown: list[Show]) -> str:
    if not isinstance(outcome, Result):
        return "failed"
    if copy.response.content_type != JSON:
        return "not_compared"
    try:
        given, other = copy.form.given(copy.response.body), shown[0](outcome)
        return "same" if close(given, other) else "different"
    except (WireError, ValueError, KeyError):
        return "failed"


def close(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal but for `TOLERANCE`, relative, of their numbers."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    if numbers and not isinstance(one, bool) and not isinstance(other, bool):
        return bool(abs(one - other) <= TOLERANCE * max(1.0, abs(one), abs(other)))
    return bool(type(one) is type(other) and one == other)
