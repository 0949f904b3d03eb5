"""A model that never returns costs one worker, which is ended so that the supervisor starts another.

Two ways to hang are watched. A prediction in the model's thread leaves the event loop alive: those who wait
are answered, the worker drains and ends. One in the event loop, or one that holds the interpreter's lock,
lets nothing of ours run: `faulthandler`'s own thread, which needs no interpreter, then ends the process.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from clouddeploy.runtime.errors import WireError

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.engine.batching import Engine

LOOKS = 4
"""How many times within the limit it is looked at."""
GRACE_S = 5.0
log = logging.getLogger(__name__)


def install(app: App) -> None:
    """Watch the app's models from the start on, when ``settings.hang_s`` isn't 0."""
    limit_s = app.settings.hang_s
    if not limit_s:
        return
    watch = Watch(lambda: [loaded.engine for loaded in app.models.all()], limit_s, app.settings.drain_s)
    app.on_start.append(watch.start)
    app.on_stop.append(watch.stop)


def end_process() -> None:
    """Ask this worker to drain and end."""
    os.kill(os.getpid(), signal.SIGTERM)


class Watch:
    """Looks whether each model comes back.

    Args:
        engines: those to watch, asked anew each time.
        limit_s: seconds that a prediction may take.
        drain_s: seconds that ending the worker may take.
        end: ends the worker.
        arm: ends the process after so many seconds unless it is called again before.
    """

    def __init__(
        self,
        engines: Callable[[], Iterable[Engine]],
        limit_s: float,
        drain_s: float,
        end: Callable[[], None] = end_process,
        arm: Callable[[float], None] = lambda after_s: faulthandler.dump_traceback_later(after_s, exit=True),
    ) -> None:
        self._engines, self._limit_s, self._drain_s = engines, limit_s, drain_s
        self._end, self._arm = end, arm
        self._timer: asyncio.TimerHandle | None = None
        self.ended = False

    async def start(self) -> None:
        """Watch from now on."""
        self.look()

    async def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended:
            faulthandler.cancel_dump_traceback_later()

    def look(self) -> None:
        """Look once, and again a while later."""
        stuck = [engine for engine in self._engines() if engine.facts.running_s > self._limit_s]
        if stuck:
            self._give_up(stuck)
            return
        self._arm(self._limit_s)
        self._timer = asyncio.get_running_loop().call_later(self._limit_s / LOOKS, self.look)

    def _give_up(self, stuck: list[Engine]) -> None:
        self.ended = True
        log.error(
            "a prediction hasn't returned for %g s: this worker ends, another takes its place", self._limit_s
        )
        faulthandler.dump_traceback(all_threads=True)
        self._arm(self._drain_s + GRACE_S)
        for engine in stuck:
            engine.abandon(
                WireError(
                    "prediction_failed",
                    f"the model didn't answer within {self._limit_s:g} s",
                    "see the endpoint's log for where it hangs",
                )
            )
        self._end()
