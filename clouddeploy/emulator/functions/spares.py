"""Processes that no function has any more, kept for the next one of the same code and settings.

Off unless `Settings.keep_unused_s` says otherwise: suites that make the same function hundreds of times would
spend most of their time on starting Python. Such a process keeps the version's number and the log stream's
name that it was started with in its environment variables; its lines go to the new stream.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from clouddeploy.emulator.functions.recipe import Recipe
from clouddeploy.emulator.functions.sandbox import Sandbox
from clouddeploy.emulator.settings import Settings

MOST = 8


class Spares:
    """Execution environments out of use.

    Args:
        settings: asked how long they are kept.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: list[tuple[float, Sandbox]] = []
        self._closed = False

    def keep(self, sandbox: Sandbox) -> None:
        """Keep an idle environment, or end it when none is to be kept or it can't be used again."""
        over: list[Sandbox] = [sandbox]
        if self._settings().keep_unused_s > 0 and sandbox.has_process:
            with self._lock:
                if not self._closed:
                    self._kept.append((time.monotonic(), sandbox))
                    over = [old for _, old in self._kept[:-MOST]]
                    del self._kept[:-MOST]
        for one in over:
            one.close()

    def take(self, recipe: Recipe) -> Sandbox | None:
        """An environment for `recipe` that ran something like it."""
        with self._lock:
            for entry in reversed(self._kept):
                sandbox = entry[1]
                if sandbox.recipe.likeness == recipe.likeness and sandbox.has_process:
                    self._kept.remove(entry)
                    break
            else:
                return None
        sandbox.adopt(recipe)
        return sandbox

    def sweep(self) -> None:
        """End those that were kept long enough."""
        oldest = time.monotonic() - self._settings().keep_unused_s
        self._end(lambda since, sandbox: since < oldest or not sandbox.has_process)

    def clear(self) -> None:
        """End all."""
        self._end(lambda *_: True)

    def close(self) -> None:
        """End all, and keep none from now on."""
        with self._lock:
            self._closed = True
        self.clear()

    def _end(self, chosen: Callable[[float, Sandbox], bool]) -> None:
        with self._lock:
            over = [entry for entry in self._kept if chosen(*entry)]
            self._kept = [entry for entry in self._kept if entry not in over]
        for _, sandbox in over:
            sandbox.close()
