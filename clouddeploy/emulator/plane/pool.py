"""All containers: shared by content, started when needed, ended when idle or when too many live."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clouddeploy.emulator.functions.guardian import Guardian
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.http.upstream import NotReached, Unreachable
from clouddeploy.emulator.plane import image, toolkit
from clouddeploy.emulator.plane.artifact import Objects
from clouddeploy.emulator.plane.container import Container
from clouddeploy.emulator.plane.process import Process
from clouddeploy.emulator.plane.recipe import Program, Recipe, Sink
from clouddeploy.emulator.settings import Settings

TICK_S = 0.5
DRAIN_S = 0.02


class Died(Exception):
    """The process ended while it worked on the request."""


class Pool:
    """Containers by recipe.

    Args:
        s3: where model data comes from.
        folder: where containers keep their files.
        settings: asked whenever a figure is needed, so that it may change.
    """

    def __init__(self, s3: Objects, folder: Path, settings: Callable[[], Settings]) -> None:
        self._s3 = s3
        self._folder = folder
        self._settings = settings
        self._guardian = Guardian()
        self._containers: dict[str, Container] = {}
        self._unused: dict[str, float] = {}
        self._room = threading.Condition()
        self._claimed: set[Container] = set()
        self._count = 0
        self._closed = threading.Event()
        threading.Thread(target=self._sweep, name="sweeper", daemon=True).start()

    def hold(self, recipe: Recipe, holder: str, sink: Sink) -> Container:
        """The container for `recipe`, kept at least until `holder` lets it go; not started yet."""
        with self._room:
            container = self._containers.get(recipe.key)
            if container is None:
                self._count += 1
                container = Container(recipe, self._folder / f"container-{self._count}", self._make)
                self._containers[recipe.key] = container
            self._unused.pop(recipe.key, None)
            container.sinks.setdefault(holder, sink)
        container.add(holder, sink)
        return container

    def _make(self, recipe: Recipe, folder: Path, log: Sink, cancelled: threading.Event) -> Program:
        if recipe.image is not None:
            return image.prepare(recipe, recipe.image, folder, self._s3, log, cancelled, self._guardian)
        return toolkit.prepare(recipe, folder, self._s3, log, cancelled)

    def release(self, container: Container, holder: str, *, drain_s: float = 0) -> None:
        """`holder` doesn't need it any more; the last one's leaving ends it.

        Args:
            drain_s: seconds that requests under way for `holder` are waited for.
        """
        key = container.recipe.key
        deadline = time.monotonic() + drain_s
        while container.busy[holder] and time.monotonic() < deadline and not self._closed.is_set():
            time.sleep(DRAIN_S)
        with self._room:
            container.sinks.pop(holder, None)
            if container.sinks or self._containers.get(key) is not container:
                return
            if self._settings().keep_unused_s > 0:
                self._unused[key] = time.monotonic()
                return
            del self._containers[key]
        self._close(container)

    def ensure(self, container: Container, timeout_s: float) -> None:
        """See to it that the container's process serves.

        Raises:
            StartFailed: it can't.
            BadArtifact: its model data can't be unpacked.
            Gone: it was closed.
        """
        with container.starting:
            if container.serving:
                return
            self._claim(container)
            try:
                container.start(timeout_s)
            finally:
                with self._room:
                    self._claimed.discard(container)
                    self._room.notify_all()

    def invoke(
        self, container: Container, holder: str, headers: list[tuple[str, str]], body: bytes, startup_s: float
    ) -> Response:
        """One prediction, after a start where the process had been ended.

        Raises:
            StartFailed, BadArtifact: it can't be started.
            Gone: it was closed; look for the one that took over.
            Died: the process ended while it worked.
            TimeoutError: it didn't answer in time.
        """
        while True:
            process = container.enter(holder)
            if process is None:
                self.ensure(container, startup_s)
                continue
            try:
                return process.invoke(headers, body, self._settings().request_timeout_s)
            except NotReached as error:
                if not process.ended():
                    raise Died(str(error)) from error
            except Unreachable as error:
                process.ended()
                raise Died(str(error)) from error
            finally:
                container.leave(holder)
                if self._claimed:
                    with self._room:
                        self._room.notify_all()

    def _claim(self, container: Container) -> None:
        """Wait until one more process may live, ending the longest idle one where that helps."""
        while True:
            with self._room:
                others = [c for c in self._containers.values() if c is not container]
                live = [c for c in others if c.process is not None and c not in self._claimed]
                if len(live) + len(self._claimed) < self._settings().max_processes:
                    self._claimed.add(container)
                    return
                idle = sorted((c for c in live if c.idle), key=lambda c: c.last_used)
                if not idle:
                    self._room.wait(TICK_S)
                    continue
            _end(idle[0].take_idle())

    def _sweep(self) -> None:
        while not self._closed.wait(TICK_S):
            settings, now = self._settings(), time.monotonic()
            with self._room:
                tired = [c for c in self._containers.values() if now - c.last_used > settings.idle_stop_s]
                gone = [k for k, since in self._unused.items() if now - since > settings.keep_unused_s]
                removed = [self._containers.pop(k) for k in gone if self._unused.pop(k, None)]
            for container in tired:
                _end(container.take_idle())
            for container in removed:
                self._close(container)

    def _close(self, container: Container) -> None:
        container.cancel()
        with container.starting:
            container.close()
        with self._room:
            self._room.notify_all()

    def processes(self) -> list[dict[str, Any]]:
        """Each container with a process: ``pid``, ``port``, ``key``, ``starts``, ``endpoints``."""
        with self._room:
            containers = list(self._containers.values())
        found = []
        for container in containers:
            process = container.process
            if process is not None and process.alive:
                holders = sorted({name.rsplit("#", 1)[0] for name in container.sinks})
                found.append(
                    {
                        "pid": process.pid,
                        "port": process.port,
                        "key": container.recipe.key,
                        "starts": container.starts,
                        "endpoints": holders,
                    }
                )
        return found

    def clear(self) -> None:
        """End every container."""
        with self._room:
            containers = list(self._containers.values())
            self._containers.clear()
            self._unused.clear()
        for container in containers:  # all at once: one may wait for what another does
            container.cancel()
        for container in containers:
            self._close(container)

    def close(self) -> None:
        """End every container, for good."""
        self._closed.set()
        self.clear()
        self._guardian.close()


def _end(process: Process | None) -> None:
    if process is not None:
        process.end()
