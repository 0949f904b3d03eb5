"""The thread in which a slow model runs, so that the event loop goes on meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Lane(Generic[_T]):
    """A thread that is made when it is first needed. It never keeps the process from ending.

    Args:
        name: of the thread.
        act: called there with what `give` was given.
    """

    def __init__(self, name: str, act: Callable[[_T], None]) -> None:
        self._name, self._act = name, act
        self._inbox: queue.SimpleQueue[_T | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def give(self, what: _T) -> None:
        """Let the thread act on `what`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._inbox.put(what)

    def close(self) -> None:
        """End the thread once it has nothing to do."""
        self._inbox.put(None)

    def _run(self) -> None:
        while (what := self._inbox.get()) is not None:
            self._act(what)
