"""A worker whose memory grows without end: it is replaced in time, and no request is lost.

Left alone it would be the kernel that ends it, or another process, when the machine has no memory left.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.server.engine.hanging import end_process

if TYPE_CHECKING:
    from clouddeploy.server.app import App

LOOK_S = 1.0
MEMORY = Path("/proc/self/statm")
log = logging.getLogger(__name__)


def install(app: App) -> None:
    """Look at the worker's memory from the start on, when ``settings.max_memory_mb`` isn't 0."""
    if app.settings.max_memory_mb:
        growth = Growth(app.settings.max_memory_mb)
        app.on_start.append(growth.start)
        app.on_stop.append(growth.stop)


def own_mb() -> float:
    """Megabytes that this process holds for itself: weights that workers share don't count.

    proc_pid_statm(5): pages that are resident, and those of them that are shared.

    Raises:
        OSError: there is no such file here.
    """
    _, resident, shared, *_ = MEMORY.read_text().split()
    return (int(resident) - int(shared)) * resource.getpagesize() / 1e6


class Growth:
    """Looks how much memory the worker holds.

    Args:
        limit_mb: megabytes that it may.
        measure: tells how many they are.
        end: ends the worker.
    """

    def __init__(
        self,
        limit_mb: float,
        measure: Callable[[], float] = own_mb,
        end: Callable[[], None] = end_process,
    ) -> None:
        self._limit_mb, self._measure, self._end = limit_mb, measure, end
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Look from now on; not where a new worker, too, would be over the limit."""
        try:
            held_mb = self._measure()
        except OSError as error:
            log.error("max_memory_mb has no effect: this system doesn't tell a process's memory: %s", error)
            return
        if held_mb > self._limit_mb:
            log.error(
                "max_memory_mb is %g and has no effect: with its models a worker holds %.0f MB at first",
                self._limit_mb,
                held_mb,
            )
            return
        self.look()

    async def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """Look once, and again a while later."""
        held_mb = self._measure()
        if held_mb > self._limit_mb:
            log.error(
                "this worker holds %.0f MB, more than max_memory_mb (%g): it ends, another takes its place",
                held_mb,
                self._limit_mb,
            )
            self._end()
            return
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self.look)
