"""The copies of one release: started, grown, shrunk, replaced when they die, ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

from clouddeploy.providers.local.backends import Lane
from clouddeploy.providers.local.copies import (
    Copy,
    Log,
    StartFailed,
    environment,
    server_settings,
    threads_of,
)
from clouddeploy.providers.local.places import Place, read_json
from clouddeploy.providers.local.processes import cpu_seconds

FIRST_PAUSE_S, MOST_PAUSE_S = 0.5, 30.0
STEADY_S = 60.0


class Fleet:
    """Runs copies of one release.

    Args:
        place: of the deployment.
        release: the release's name.
        base: environment that every copy gets.
        log: takes lines.

    Attributes:
        lane: what the front knows of it.
        wanted: copies that there should be.
        leaving_at: when it goes, if it isn't in service any more (`time.monotonic`).
    """

    def __init__(self, place: Place, release: str, base: Mapping[str, str], log: Log) -> None:
        self.release = release
        self.lane = Lane(release)
        self.wanted = 0
        self.leaving_at: float | None = None
        self._place, self._base, self._log = place, base, log
        self._copies: list[Copy] = []
        self._stopping: set[asyncio.Task[None]] = set()
        self._pause_s, self._again_at = FIRST_PAUSE_S, 0.0
        self._cpu: tuple[float, float] | None = None

    @property
    def size(self) -> int:
        """Copies that answer."""
        return sum(copy.alive for copy in self._copies)

    @property
    def is_kept(self) -> bool:
        """Whether the release's files are still there."""
        return self._place.model(self.release).is_dir()

    @property
    def pids(self) -> list[int]:
        """Its copies' processes."""
        return [copy.pid for copy in self._copies if copy.alive]

    async def grow(self, count: int, service: Mapping[str, Any]) -> None:
        """Have `count` copies at least, and return when all are ready.

        Raises:
            StartFailed: one could not start; those that did are stopped again.
        """
        fresh = [self._new(service) for _ in range(count - self.size)]
        limit_s = float(service["startup_timeout_s"])
        starts = [asyncio.ensure_future(copy.start(self.lane, limit_s)) for copy in fresh]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await asyncio.gather(*(copy.kill() for copy in fresh))
            raise
        self._copies += fresh
        self._show()
        self.wanted = max(self.wanted, count)

    def _new(self, service: Mapping[str, Any]) -> Copy:
        state = read_json(self._place.release(self.release) / "release.json")
        if state is None:
            raise StartFailed("its files aren't there", [])
        most = max(1, min(int(service["autoscaling"]["max"]), 64))
        env = environment(self._base, state["env"], threads_of(most))
        settings = server_settings(self._place.model(self.release), self._place.name, service)
        return Copy(self.release, settings, env, self._log)

    async def shrink(self, count: int) -> None:
        """Have `count` copies at the most; those that go finish what was given to them."""
        self.wanted = min(self.wanted, count)
        gone, self._copies = self._copies[count:], self._copies[:count]
        self._show()
        # Tasks of their own: whoever waits here may be called off, but they must end.
        stops = [asyncio.ensure_future(copy.stop()) for copy in gone]
        self._stopping.update(stops)
        for stop in stops:
            stop.add_done_callback(self._stopping.discard)
        if stops:
            await asyncio.wait(stops)

    def bury(self) -> bool:
        """Take the dead out of service; whether copies are missing and it is time to start others."""
        dead = [copy for copy in self._copies if not copy.alive]
        now = time.monotonic()
        for copy in dead:
            self._log(self.release, f"a copy (process {copy.pid}) ended by itself")
            if now - copy.born > STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            self._again_at = max(self._again_at, now + self._pause_s)
            self._copies.remove(copy)
        if dead:
            self._show()
            self._pause_s = min(self._pause_s * 2, MOST_PAUSE_S)
        return self.size < self.wanted and now >= self._again_at

    async def heal(self, service: Mapping[str, Any]) -> None:
        """Start what is missing; a failure is logged, and tried again later."""
        try:
            await self.grow(self.wanted, service)
        except StartFailed as error:
            self._again_at = time.monotonic() + self._pause_s
            self._pause_s = min(self._pause_s * 2, MOST_PAUSE_S)
            self._log(self.release, f"a copy could not start: {error.reason}")

    def cpu(self) -> float | None:
        """Cores that its copies used since this was last asked; None the first time."""
        now, spent = time.monotonic(), sum(cpu_seconds(copy.token) for copy in self._copies)
        before, self._cpu = self._cpu, (now, spent)
        if before is None or now <= before[0]:
            return None
        return max(0.0, spent - before[1]) / (now - before[0])

    def _show(self) -> None:
        self.lane.backends = [copy.backend for copy in self._copies if copy.backend is not None]

    async def end(self, patience_s: float) -> None:
        """Stop every copy, and kill what doesn't end in that time."""
        every = list(self._copies)
        with contextlib.suppress(TimeoutError):  # what didn't end by then is killed
            async with asyncio.timeout(patience_s):
                await self.shrink(0)
        await asyncio.gather(*(copy.kill() for copy in every if copy.alive))
