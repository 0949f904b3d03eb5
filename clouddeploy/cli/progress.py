"""Progress as plain lines: for logs, build servers and terminals that can't redraw."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from clouddeploy.engine.events import Event

QUIET_S = 1.0
"""What takes less than this is not worth a line."""
AGAIN_S = 15.0
"""How often something that goes on is told again."""
KEY_LIMIT = 48


class Progress(Protocol):
    """What shows that something is going on. Usable from several threads."""

    def event(self, event: Event) -> None:
        """Show one event of a deploy."""

    def activity(self, text: str) -> AbstractContextManager[None]:
        """Show `text` while the block runs, when it takes long enough to be noticed."""


def size_text(count: float) -> str:
    """`count` bytes in the unit that people read: ``12.3 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def event_line(event: Event) -> str:
    """One event as a line: what, how far, for how long."""
    elapsed = f" ({event.elapsed_s:.0f} s)" if event.elapsed_s >= QUIET_S else ""
    match event.kind:
        case "step-done":
            return f"{event.text or f'{event.action} {event.key}'}: done{elapsed}"
        case "step-failed":
            return f"{short_key(event.key)}: FAILED: {event.text}{elapsed}"
        case "undo-done":
            return f"undo: {event.text}{elapsed}"
        case "undo-failed":
            return f"{short_key(event.key)}: NOT UNDONE: {event.text}{elapsed}"
    return f"{short_key(event.key)}: {doing(event)}{elapsed}"


def doing(event: Event) -> str:
    """What goes on, with the bytes where they are counted."""
    text = event.text or event.action
    if event.done is None or not event.total:
        return text
    share = f"{event.done / event.total:.0%}"
    return f"{text} {size_text(event.done)} of {size_text(event.total)} ({share})"


def short_key(key: str) -> str:
    """A resource's key, its middle left out where it is longer than a line wants."""
    return key if len(key) <= KEY_LIMIT else f"{key[: KEY_LIMIT - 13]}…{key[-12:]}"


class PlainProgress:
    """One line for each thing that happened; what goes on is told every `AGAIN_S` seconds.

    Args:
        say: writes a line.
        clock: seconds, for tests.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to tidy: each line is complete."""

    def event(self, event: Event) -> None:
        """Write a line, unless the same thing was told a moment ago.

        That a step begins is not told: it soon ends, or says what it waits for.
        """
        if event.kind in ("step-started", "undo-started"):
            return
        with self._lock:
            if event.kind in ("progress", "waiting"):
                complete = event.done is not None and event.done == event.total
                last = self._told.get(event.key, float("-inf"))
                if not complete and self._clock() - last < AGAIN_S:
                    return
                self._told[event.key] = self._clock()
            self._say(event_line(event))

    @contextmanager
    def activity(self, text: str) -> Iterator[None]:
        """Write `text` once it has lasted `QUIET_S`, and again every `AGAIN_S`."""
        over = threading.Event()
        began = self._clock()

        def tell() -> None:
            pause = QUIET_S
            while not over.wait(pause):
                self._say(f"{text} ({self._clock() - began:.0f} s)")
                pause = AGAIN_S

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()
