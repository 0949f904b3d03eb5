"""All execution environments: which one runs an event, how many there are, and when they go.

"Understanding Lambda function scaling" (Lambda Developer Guide): one event at a time in each; a function's
reserved concurrency is its ceiling, the rest of the account's is shared by all others.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.backends.functions import Function
from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.functions import images
from clouddeploy.emulator.functions.code import Workshop
from clouddeploy.emulator.functions.guardian import Guardian
from clouddeploy.emulator.functions.journal import Journal
from clouddeploy.emulator.functions.recipe import (
    ON_DEMAND,
    PROVISIONED,
    SNAP_START,
    Event,
    Outcome,
    Recipe,
    key_of,
)
from clouddeploy.emulator.functions.sandbox import NotTaken, Sandbox
from clouddeploy.emulator.functions.spares import Spares
from clouddeploy.emulator.registry import Store
from clouddeploy.emulator.settings import Settings

TICK_S = 0.25
TRIES = 8


class Throttled(Refused):
    """More at once than allowed (Invoke, Lambda API Reference: TooManyRequestsException)."""

    def __init__(self, reason: str) -> None:
        extra = {"Reason": reason, "Type": "User"}
        super().__init__("Rate Exceeded.", code="TooManyRequestsException", status=429, extra=extra)


class Fleet:
    """The execution environments of every function.

    Args:
        folder: where code and temporary files are.
        settings: asked for limits.
        url: where functions reach the embedded cloud.
        registry: has the images of functions that are made from one.
    """

    def __init__(
        self, folder: Path, settings: Callable[[], Settings], url: Callable[[], str], registry: Store
    ) -> None:
        self.journal = Journal()
        self._folder, self._settings, self._url = folder, settings, url
        self._workshop = Workshop(folder / "code", partial(images.prepare, registry))
        self._guardian = Guardian()
        self._spares = Spares(settings)
        self._room = threading.Condition()
        self._sandboxes: set[Sandbox] = set()
        self._busy: set[Sandbox] = set()
        self._coming = 0
        self._active: Counter[tuple[str, str]] = Counter()
        self._closed = threading.Event()
        self._sweeper: threading.Thread | None = None

    @contextmanager
    def slot(self, function: Function) -> Iterator[int]:
        """One execution's share of the concurrency; gives how many the function then has.

        Raises:
            Throttled: there is none left.
        """
        region, name, reserved = function.region, function.name, function.reserved
        key = (region, name)
        with self._room:
            if reserved is not None and self._active[key] >= reserved:
                raise Throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
            if reserved is None and self._unreserved_active(region) >= self.unreserved(region):
                raise Throttled("ConcurrentInvocationLimitExceeded")
            self._active[key] += 1
            now = self._active[key]
        try:
            yield now
        finally:
            with self._room:
                self._active[key] -= 1

    def unreserved(self, region: str) -> int:
        """The account's concurrency that no function has reserved."""
        taken = sum(f.raw.reserved_concurrency or 0 for f in functions.everything(region))
        return self._settings().function_concurrency - int(taken)

    def _unreserved_active(self, region: str) -> int:
        count = 0
        for (where, name), active in self._active.items():
            if where == region and active:
                found = functions.find(region, name)
                count += active if found is None or found.raw.reserved_concurrency is None else 0
        return count

    def run(self, function: Function, event: Event) -> Outcome:
        """Run an event in an environment of the function; the caller holds a `slot`."""
        limit = self._settings().function_init_s
        for _ in range(TRIES):
            sandbox = self._take(function)
            # One that had died while it lay idle is no fault of this event's.
            if sandbox.pid and not sandbox.alive:
                self._drop(sandbox)
                continue
            try:
                return sandbox.invoke(event, limit)
            except NotTaken:
                sandbox.retired = True
            finally:
                self._give_back(sandbox)
        raise Refused("The function's processes keep ending", code="ServiceException", status=500)

    def _take(self, function: Function) -> Sandbox:
        """An idle environment, the provisioned first, else a new one."""
        key = key_of(function)
        with self._room:
            while True:
                fitting = [s for s in self._sandboxes - self._busy if s.recipe.key == key and s.pid]
                if fitting:
                    sandbox = max(fitting, key=lambda s: (s.provisioned, s.last_used))
                    self._busy.add(sandbox)
                    return sandbox
                if self._has_room():
                    self._coming += 1
                    break
                self._room.wait(TICK_S)
        return self._make(function, SNAP_START if _snapped(function) else ON_DEMAND)

    def _has_room(self) -> bool:
        if len(self._sandboxes) + self._coming < self._settings().max_function_processes:
            return True
        idle = sorted(
            (s for s in self._sandboxes - self._busy if not s.provisioned), key=lambda s: s.last_used
        )
        if idle:
            self._sandboxes.discard(idle[0])
            idle[0].close()
        return bool(idle)

    def _make(self, function: Function, initialization: str) -> Sandbox:
        """A new environment, busy, for which the caller has counted up `_coming`."""
        try:
            recipe = Recipe.of(function, self._workshop.prepare(function), self._url(), initialization)
            sandbox = self._spares.take(recipe) or self._sandbox(recipe)
        except BaseException:
            with self._room:
                self._coming -= 1
            raise
        sandbox.provisioned = initialization == PROVISIONED
        with self._room:
            self._coming -= 1
            self._sandboxes.add(sandbox)
            self._busy.add(sandbox)
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="functions", daemon=True)
                self._sweeper.start()
        if self._closed.is_set():
            self._drop(sandbox)
        return sandbox

    def _sandbox(self, recipe: Recipe) -> Sandbox:
        return Sandbox(recipe, self._folder / secrets.token_hex(8), self.journal, self._guardian)

    def _give_back(self, sandbox: Sandbox) -> None:
        """Keep an environment for the next event, unless it is finished."""
        if not sandbox.alive:
            self._drop(sandbox)
            return
        with self._room:
            self._busy.discard(sandbox)
            self._room.notify_all()

    def _drop(self, sandbox: Sandbox) -> None:
        with self._room:
            self._sandboxes.discard(sandbox)
            self._busy.discard(sandbox)
            self._room.notify_all()
        self._spares.keep(sandbox)

    def provision(self, function: Function, wanted: int) -> int:
        """Start or end provisioned environments until there are `wanted`; how many there are then.

        This machine's own limit (`max_function_processes`) may allow fewer.
        """
        key = key_of(function)
        with self._room:
            have = [s for s in self._sandboxes if s.recipe.key == key and s.provisioned]
            spare = have[wanted:]
            for sandbox in spare:
                sandbox.provisioned = False
            room = self._settings().max_function_processes - len(self._sandboxes) - self._coming
            more = max(0, min(wanted - len(have), room))
            self._coming += more
        started, left = 0, more
        try:
            while left:
                left -= 1  # `_make` counts that one down
                sandbox = self._make(function, PROVISIONED)
                if not sandbox.start(self._settings().startup_timeout_s):
                    self._drop(sandbox)
                    break
                started += 1
                self._give_back(sandbox)
        finally:
            with self._room:
                self._coming -= left
        for sandbox in spare:
            sandbox.retired = True
            self._end_if_idle(sandbox)
        return min(len(have), wanted) + started

    def provisioned(self, function: Function) -> int:
        """How many provisioned environments the function has."""
        key = key_of(function)
        with self._room:
            return sum(s.provisioned and s.recipe.key == key for s in self._sandboxes)

    def retire(self, region: str, name: str) -> None:
        """End the environments of a function that no version of it has any more."""
        found = functions.find(region, name)
        known = [found, *functions.versions(region, name)] if found is not None else []
        keys = {key_of(f) for f in known}
        with self._room:
            mine = [s for s in self._sandboxes if (s.recipe.region, s.recipe.name) == (region, name)]
        for sandbox in mine:
            if sandbox.recipe.key not in keys:
                sandbox.retired = True
                self._end_if_idle(sandbox)

    def _end_if_idle(self, sandbox: Sandbox) -> None:
        with self._room:
            if sandbox in self._busy or sandbox not in self._sandboxes:
                return
            self._sandboxes.discard(sandbox)
        if sandbox.retired or not sandbox.alive:
            self._spares.keep(sandbox)
        else:
            sandbox.close()

    def _sweep(self) -> None:
        while not self._closed.wait(TICK_S):
            oldest = time.monotonic() - self._settings().idle_stop_s
            with self._room:
                idle = self._sandboxes - self._busy
            for sandbox in idle:
                if not sandbox.alive or (not sandbox.provisioned and sandbox.last_used < oldest):
                    self._end_if_idle(sandbox)
            self._spares.sweep()

    def processes(self) -> list[dict[str, Any]]:
        """Each living environment: ``pid``, ``function``, ``version``, ``busy``, ``provisioned``."""
        with self._room:
            return [
                {
                    "pid": s.pid,
                    "function": s.recipe.name,
                    "version": s.recipe.version,
                    "busy": s in self._busy,
                    "provisioned": s.provisioned,
                }
                for s in self._sandboxes
                if s.pid
            ]

    def clear(self) -> None:
        """End every environment and forget what was printed."""
        with self._room:
            mine = list(self._sandboxes)
            self._sandboxes.clear()
            self._busy.clear()
        for sandbox in mine:
            sandbox.close()
        self._spares.clear()
        self._workshop.clear()
        self.journal.clear()

    def close(self) -> None:
        """End every environment, for good."""
        self._closed.set()
        self.clear()
        self._spares.close()
        self._guardian.close()


def _snapped(function: Function) -> bool:
    return function.snap_start and function.version != functions.LATEST
