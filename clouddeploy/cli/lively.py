"""Progress that redraws itself, by rich; loaded only where there is a terminal for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from clouddeploy.cli.progress import event_line, short_key, size_text

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, TaskID

    from clouddeploy.engine.events import Event

STYLES = {"step-done": "green", "step-failed": "bold red", "undo-done": "yellow", "undo-failed": "bold red"}


class LivelyProgress:
    """A spinner line for each thing under way; what is over scrolls up as a plain line.

    Args:
        stream: the terminal.
        colour: whether colours are wanted.
    """

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(file=stream, no_color=not colour, highlight=False, soft_wrap=True)
        self._progress = Progress(*_columns(), console=console, transient=True)
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def event(self, event: Event) -> None:
        """Move the event's line, or end it."""
        with self._lock:
            if event.kind in STYLES:
                if event.key in self._tasks:
                    self._progress.remove_task(self._tasks.pop(event.key))
                self._progress.console.print(event_line(event), style=STYLES[event.kind], markup=False)
                return
            if event.key not in self._tasks:
                self._tasks[event.key] = self._add(_description(event))
            known = event.done is not None and bool(event.total)
            amount = f"{size_text(event.done or 0)} of {size_text(event.total or 0)}" if known else ""
            self._progress.update(
                self._tasks[event.key],
                description=_description(event),
                total=event.total if known else None,
                completed=event.done if known else 0,
                amount=amount,
            )

    @property
    def under_way(self) -> int:
        """How many lines are being redrawn."""
        return len(self._progress.tasks)

    @contextmanager
    def activity(self, text: str) -> Iterator[None]:
        """A spinner with `text` while the block runs."""
        task = self._add(text)
        try:
            yield
        finally:
            self._progress.remove_task(task)

    def _add(self, text: str) -> TaskID:
        return self._progress.add_task(text, total=None, amount="")


def _description(event: Event) -> str:
    if event.kind in ("step-started", "undo-started"):
        return short_key(event.text or f"{event.action} {event.key}".strip())
    return f"{short_key(event.key)}: {event.text or event.action}"


def _columns() -> list[ProgressColumn]:
    from rich.progress import BarColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Bar(BarColumn):
        """A bar where the end is known, and nothing where it isn't."""

        def render(self, task: Task) -> Any:
            return super().render(task) if task.total else Text()

    return [
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        Bar(bar_width=24),
    ]
