"""Copies of requests to another version, whose answers are compared with those given, and dropped.

A copy begins after the request was answered, so nobody waits for it and nothing of it can reach anybody.
While the version has enough to do already, further copies are left out.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.decode import JSON
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError

if TYPE_CHECKING:
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.message import Response
    from clouddeploy.server.models.loaded import Loaded

MOST = 32
"""Copies under way at once in one worker."""
PATHS = ("/predict", "/batch_predict", "/invocations")
"""Paths whose bodies are the wire contract's own."""
TOLERANCE = 1e-4
Watcher = Callable[["Exchange", "Response"], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Copy:
    """A request that another version shall answer too.

    Args:
        to: that version.
        exchange: the request, answered.
        response: what it was answered.
    """

    to: Loaded
    exchange: Exchange
    response: Response


class Shadows:
    """The copies of one worker.

    Attributes:
        counts: by ``(model, version)``, what became of the copies: ``same``, ``different``, ``failed``
            (of the copies that the version was given), ``left_out``.
    """

    def __init__(self) -> None:
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
        if to is None or response.status != 200 or exchange.request.path not in PATHS:
            return
        if self._under_way >= MOST:
            self._count(to, "left_out")
            return
        self._under_way += 1
        asyncio.get_running_loop().call_soon(self._submit, Copy(to, exchange, response))

    def _submit(self, copy: Copy) -> None:
        request = copy.exchange.request

        def done(outcome: Any) -> None:
            self._under_way -= 1
            self._count(copy.to, _verdict(outcome, copy))

        try:
            asked = copy.to.service.decode(request.body, request.headers.get("content-type", JSON))
            copy.to.engine.submit(asked, None, done, f"{copy.exchange.id}-shadow")
        except WireError as error:
            done(error)
        except Exception as error:  # noqa: BLE001  # a copy must never cost anything but itself
            log.warning("the copy of %s failed: %s", copy.exchange.id, error)
            done(WireError("prediction_failed", str(error), ""))

    def _count(self, to: Loaded, what: str) -> None:
        self.counts.setdefault((to.name, to.version), Counter())[what] += 1


def _verdict(outcome: Any, copy: Copy) -> str:
    if not isinstance(outcome, Result):
        return "failed"
    if copy.response.content_type != JSON:
        return "not_compared"
    try:
        given, other = copy.response.body, copy.to.service.encode(outcome, JSON)[0]
        return "same" if given == other or close(json.loads(given), json.loads(other)) else "different"
    except (WireError, ValueError):
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
