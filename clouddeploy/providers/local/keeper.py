"""Makes one deployment's processes what service.json says: the loop of the background process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Coroutine, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from clouddeploy.providers.local.alarming import Alarms
from clouddeploy.providers.local.copies import StartFailed
from clouddeploy.providers.local.fleet import Fleet
from clouddeploy.providers.local.front import Front
from clouddeploy.providers.local.logfile import LogFile
from clouddeploy.providers.local.places import Place, read_json, write_bytes, write_json
from clouddeploy.providers.local.scaling import Load, Scaler

TURN_S = 0.25
TICK_S = 1.0
END_S = 10.0


@dataclass
class Told:
    """What state.json says.

    Args:
        in_force: generation of service.json that the requests see; 0 before the first.
        failed: generation that could not be brought into force; 0 for none.
        reason: why not.
        tail: the last log lines of what failed.
        settled: nothing is under way any more: what left service has ended.
        host, port: where the service listens.
        copies: by release in service.
        stopping: the keeper is about to end.
        alarms: those that are on, in words.
    """

    in_force: int = 0
    failed: int = 0
    reason: str = ""
    tail: list[str] = field(default_factory=list)
    settled: bool = False
    host: str = ""
    port: int = 0
    copies: dict[str, int] = field(default_factory=dict)
    stopping: bool = False
    alarms: list[str] = field(default_factory=list)


class Keeper:
    """Keeps one deployment running until it is told to stop, or its files are gone.

    Args:
        place: of the deployment.
        token: of the service.
        log: the service's log.
    """

    def __init__(self, place: Place, token: str, log: LogFile) -> None:
        self.told = Told()
        self.stop = asyncio.Event()
        self.wake = asyncio.Event()
        self.front = Front(lambda text: log.write("front", text))
        self._place, self._token, self._log = place, token, log
        self._fleets: dict[str, Fleet] = {}
        self._service: dict[str, Any] = {}
        self._scalers: dict[str, Scaler] = {}
        self._alarms = Alarms((), self.front.counts)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._trying = 0
        self._work = asyncio.Lock()

    async def run(self) -> None:
        """Keep until told to stop, then end everything."""
        next_tick = time.monotonic()
        try:
            while not self.stop.is_set():
                self._look()
                if time.monotonic() >= next_tick:
                    next_tick = time.monotonic() + TICK_S
                    self._begin(self._tick(), self._tasks)
                self.wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TURN_S):
                        await self.wake.wait()
        finally:
            await self._end()

    def _look(self) -> None:
        """Begin to bring what service.json says into force, if it is something new."""
        wish = read_json(self._place.service)
        if wish is None or wish.get("deleting") or wish["token"] != self._token:
            self.stop.set()
        elif wish["generation"] != self._trying:
            self._trying = wish["generation"]
            self._begin(self._bring(wish, set(self._tasks)), self._tasks)

    def _begin(self, what: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(what)
        among.add(task)
        task.add_done_callback(among.discard)
        return task

    async def _bring(self, wish: Mapping[str, Any], before: set[asyncio.Task[None]]) -> None:
        await _call_off(before)
        generation, service = int(wish["generation"]), dict(wish["state"])
        async with self._work:
            try:
                await self._listen(service)
                fleets = await self._start(service)
            except (StartFailed, OSError) as error:
                self._failed(generation, error)
                return
            self._put(wish, service, fleets)
            self._tell(in_force=generation, failed=0, reason="", tail=[], settled=False)
            await self._settle(fleets, float(wish.get("keep_warm_s", 0)))
            self._tell(settled=True)

    async def _listen(self, service: Mapping[str, Any]) -> None:
        """Be reachable where the wish says: at the port asked for, else the one of before, else any."""
        host, asked = str(service["host"]), int(service["port"])
        now = self.front.address
        if now is not None and now[0] == host and asked in (0, now[1]):
            return
        before = now[1] if now is not None else self._port_before()
        try:
            await self.front.listen(host, asked or before)
        except OSError as error:
            if asked or not before or error.errno != errno.EADDRINUSE:
                why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
                raise OSError(error.errno, f"can't listen on {host}:{asked or before}: {why}") from error
            self._log.write("keeper", f"port {before} is somebody else's now; another is taken")
            await self.front.listen(host, 0)
        address = self.front.address
        assert address is not None
        write_bytes(self._place.port, str(address[1]).encode())
        self._tell(host=host, port=address[1])

    def _port_before(self) -> int:
        try:
            return int(self._place.port.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    async def _start(self, service: Mapping[str, Any]) -> list[tuple[Fleet, int]]:
        """The fleets that are to serve, complete; what was started is stopped again on failure."""
        most = max((fleet.size for fleet in self._fleets.values()), default=0)
        found, fresh = [], []
        try:
            for release, share in service["shares"].items():
                fleet = self._fleets.get(release)
                if fleet is None:
                    fleet = Fleet(self._place, release, self._base_env(), self._log.write)
                    fresh.append(fleet)
                low, high = Scaler(service["autoscaling"], time.time()).limits(time.time())
                count = max(low, min(high, max(fleet.size, -(-most * share // 100))))
                await fleet.grow(count, service)
                found.append((fleet, share))
        except BaseException:
            ends = [self._begin(fleet.end(0), self._ending) for fleet in fresh]
            if ends:
                await asyncio.wait(ends)
            raise
        return found

    def _base_env(self) -> dict[str, str]:
        return dict(os.environ)

    def _put(self, wish: Mapping[str, Any], service: dict[str, Any], fleets: list[tuple[Fleet, int]]) -> None:
        """Let the requests go to `fleets` from now on."""
        self.front.timeout_s = float(service["timeout_s"])
        self.front.lanes.put({fleet.release: (fleet.lane, share) for fleet, share in fleets})
        now = time.time()
        for fleet, _ in fleets:
            fleet.leaving_at = None
            self._fleets[fleet.release] = fleet
            folder = self._place.release(fleet.release)
            if fleet.release not in self._service.get("shares", {}) and folder.is_dir():
                write_json(folder / "served", {"at": now})
        self._service = service
        capacity = service["max_concurrency"] or Scaler.capacity
        since = float(wish["scaled_at"])
        self._scalers = {f.release: Scaler(service["autoscaling"], since, capacity) for f, _ in fleets}
        self._alarms = Alarms(service["alarms"], self.front.counts)

    async def _settle(self, fleets: list[tuple[Fleet, int]], keep_warm_s: float) -> None:
        """End what isn't in service any more, once it has finished what was given to it."""
        serving = {fleet.release for fleet, _ in fleets}
        for fleet, _ in fleets:
            await fleet.shrink(self._scalers[fleet.release].limits(time.time())[1])
        for release, fleet in list(self._fleets.items()):
            if release in serving:
                continue
            if keep_warm_s and fleet.is_kept:
                fleet.leaving_at = time.monotonic() + keep_warm_s
            else:
                del self._fleets[release]
                await asyncio.wait([self._begin(fleet.end(self.front.timeout_s + END_S), self._ending)])

    def _failed(self, generation: int, error: StartFailed | OSError) -> None:
        if isinstance(error, StartFailed):
            reason, tail = error.reason, error.tail
        else:
            reason, tail = error.strerror or str(error), []
        self._log.write("keeper", f"generation {generation} could not start: {reason}")
        self._tell(failed=generation, reason=reason, tail=tail, settled=True)

    async def _tick(self) -> None:
        """What is due every second; nothing while a change is under way."""
        if self._work.locked():
            return
        async with self._work:
            for release, fleet in list(self._fleets.items()):
                if fleet.leaving_at is not None:
                    if time.monotonic() > fleet.leaving_at or not fleet.is_kept:
                        del self._fleets[release]
                        self._begin(fleet.end(END_S), self._ending)
                    continue
                if fleet.bury():
                    await fleet.heal(self._service)
                await self._scale(fleet)
            for text in self._alarms.changes():
                self._log.write("alarm", text)
            self._tell(alarms=self._alarms.on)

    async def _scale(self, fleet: Fleet) -> None:
        scaler = self._scalers.get(fleet.release)
        if scaler is None or fleet.size != fleet.wanted:
            return
        load = Load(
            fleet.lane.level.take_mean(),
            fleet.lane.counts.over(60)["requests"],
            fleet.cpu() if scaler.needs_cpu else None,
            fleet.lane.take_refused(),
        )
        wanted = scaler.wanted(fleet.size, load, time.time())
        if wanted == fleet.size:
            return
        self._log.write("keeper", f"{fleet.release}: {fleet.size} copies become {wanted} ({load})")
        if wanted > fleet.size:
            fleet.wanted = wanted
            await fleet.heal(self._service)
        else:
            await fleet.shrink(wanted)

    def _tell(self, **change: Any) -> None:
        """Write state.json, if anything in it is new."""
        before = asdict(self.told)
        for name, value in change.items():
            setattr(self.told, name, value)
        self.told.copies = {
            release: fleet.size for release, fleet in self._fleets.items() if fleet.leaving_at is None
        }
        now = asdict(self.told)
        if now != before and self._place.folder.is_dir():
            write_json(self._place.state, now, durable=False)

    async def _end(self) -> None:
        self._tell(stopping=True)
        await _call_off(set(self._tasks))
        await self.front.close(END_S)
        await asyncio.gather(*(fleet.end(END_S) for fleet in self._fleets.values()))
        if self._ending:
            await asyncio.wait(self._ending, timeout=END_S)


async def _call_off(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
