"""Where requests go: the copies of each release, the connections to them, and who gets which share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clouddeploy.providers.local.counting import Counts, Level

if TYPE_CHECKING:
    from clouddeploy.providers.local.express import Line

IDLE_S = 30.0
"""Connections to a server are given up after this, long before the server does (75 s)."""
KEPT_LINKS = 64
HEAD_LIMIT = 64 << 10
REST_S = 0.5
"""A copy that isn't ready, or has just died, is left alone for so long where there are others."""


@dataclass
class Link:
    """One connection to a copy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    since: float = 0.0
    used: bool = False

    def close(self) -> None:
        """Give it up."""
        self.writer.close()


class Backend:
    """One copy, as the front sees it.

    Args:
        port: where it listens on 127.0.0.1.
        level: of the release's requests in progress.
    """

    def __init__(self, port: int, level: Level) -> None:
        self.port = port
        self.busy = 0
        self._level = level
        self._idle: list[Link] = []
        self._lines: list[Line] = []
        self._free = asyncio.Event()
        self._free.set()
        self._retired = False
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether others are asked rather than this one."""
        return self._rests_until > 0 and time.monotonic() < self._rests_until

    def rest(self) -> None:
        """Ask others for a while."""
        self._rests_until = time.monotonic() + REST_S

    def begin(self) -> None:
        """A request is given to it."""
        self.busy += 1
        self._level.change(1)
        self._free.clear()

    def end(self) -> None:
        """A request given to it is over."""
        self.busy -= 1
        self._level.change(-1)
        if not self.busy:
            self._free.set()

    async def link(self, *, fresh: bool) -> Link:
        """A connection to it.

        Raises:
            OSError: it doesn't listen.
        """
        now = time.monotonic()
        while self._idle and not fresh:
            link = self._idle.pop()
            if now - link.since < IDLE_S and not link.reader.at_eof():
                return link
            link.close()
        return Link(*await asyncio.open_connection("127.0.0.1", self.port, limit=HEAD_LIMIT))

    def keep(self, link: Link) -> None:
        """Take a connection back for the next request."""
        if self._retired or len(self._idle) >= KEPT_LINKS:
            link.close()
            return
        link.since, link.used = time.monotonic(), True
        self._idle.append(link)

    def line(self) -> Line | None:
        """An open connection for the quick way; None when there is none."""
        now = time.monotonic()
        while self._lines:
            line = self._lines.pop()
            if line.open and now - line.since < IDLE_S:
                return line
            line.close()
        return None

    async def new_line(self) -> Line:
        """Another one.

        Raises:
            OSError: it doesn't listen.
        """
        from clouddeploy.providers.local.express import Line

        loop = asyncio.get_running_loop()
        return (await loop.create_connection(lambda: Line(self), "127.0.0.1", self.port))[1]

    def keep_line(self, line: Line) -> None:
        """Take one back for the next request."""
        if self._retired or not line.open or len(self._lines) >= KEPT_LINKS:
            line.close()
            return
        line.since, line.used = time.monotonic(), True
        self._lines.append(line)

    async def drained(self) -> None:
        """Return when the requests given to it are over; it must get no more."""
        await self._free.wait()
        self._retired = True
        for link in self._idle:
            link.close()
        for line in self._lines:
            line.close()
        self._idle.clear()
        self._lines.clear()


@dataclass
class Lane:
    """A release in service, as the front sees it.

    Args:
        release: its name.
        share: percent of the requests.
        refused: requests for which a copy had too much to do, since that was last asked.
    """

    release: str
    share: int = 0
    backends: list[Backend] = field(default_factory=list)
    level: Level = field(default_factory=Level)
    counts: Counts = field(default_factory=Counts)
    refused: int = 0
    _turn: int = 0
    _next: int = 0

    def pick(self) -> Backend | None:
        """The copy with the fewest requests in progress; among equals each in its turn.

        One that rests is taken only when all do.
        """
        count = len(self.backends)
        if count < 2:
            return self.backends[0] if count else None
        self._next += 1
        turns = (self.backends[(self._next + i) % count] for i in range(count))
        return min(turns, key=lambda backend: (backend.rests, backend.busy))

    def instead_of(self, backend: Backend) -> Backend | None:
        """Another copy, for a request that `backend` hasn't begun; it rests from now on."""
        backend.rest()
        other = self.pick()
        return None if other is None or other is backend or other.rests else other

    def take_refused(self) -> int:
        """How many requests were refused since the last time this was asked."""
        found, self.refused = self.refused, 0
        return found


class Lanes:
    """The releases in service and their shares. Replaced at once, between two requests."""

    def __init__(self) -> None:
        self._lanes: list[Lane] = []

    def put(self, lanes: Mapping[str, tuple[Lane, int]]) -> None:
        """From now on these, each with its percent of the requests."""
        found = []
        for lane, share in lanes.values():
            lane.share, lane._turn = share, 0
            found.append(lane)
        self._lanes = found

    def every(self) -> Iterator[tuple[Lane, Backend]]:
        """Every copy in service."""
        return ((lane, backend) for lane in self._lanes for backend in lane.backends)

    def pick(self) -> tuple[Lane, Backend] | None:
        """Who gets the next request: the shares are kept over every hundred, and evenly spread."""
        total, best = 0, None
        for lane in self._lanes:
            total += lane.share
            lane._turn += lane.share
            if best is None or lane._turn > best._turn:
                best = lane
        if best is None:
            return None
        best._turn -= total
        backend = best.pick()
        return (best, backend) if backend is not None else None
