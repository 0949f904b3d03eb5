"""Progress in a notebook: one display that updates itself while a deploy runs.

`Plan` and `Endpoint` draw themselves (``_repr_html_``); this module draws what happens in between::

    endpoint = sagemaker.deploy(model, "digits", on_event=notebook.progress())
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from clouddeploy.engine.events import Event

MARKS = {
    "step-started": "…",
    "progress": "…",
    "waiting": "…",
    "step-done": "✓",
    "step-failed": "✗",
    "undo-started": "↶ …",
    "undo-done": "↶",
    "undo-failed": "✗ not undone:",
}
REDRAW_S = 0.2
"""The display isn't redrawn more often than this for what merely goes on."""


class Display(Protocol):
    """Something that shows HTML in place of what it showed before."""

    def update(self, obj: object) -> None:
        """Show `obj`."""


class Board:
    """The last event of each resource, as rows.

    Args:
        show: called with the rows as HTML whenever they changed.
        clock: seconds, for tests.
    """

    def __init__(self, show: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._show = show
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, Event] = {}
        self._shown = float("-inf")

    def __call__(self, event: Event) -> None:
        """Take an event, and redraw when it ends something or the last time was a moment ago."""
        with self._lock:
            self._rows[event.key] = event
            passing = event.kind in ("progress", "waiting")
            if passing and self._clock() - self._shown < REDRAW_S:
                return
            self._shown = self._clock()
            self._show(self.html())

    def html(self) -> str:
        """The rows as an HTML table."""
        rows = "".join(_row(event) for event in self._rows.values())
        return f"<table class='clouddeploy-progress'>{rows}</table>"


def _row(event: Event) -> str:
    cells = [
        MARKS[event.kind],
        html.escape(event.key),
        html.escape(event.text or event.action),
        f"<progress value='{event.done}' max='{event.total}'></progress>" if event.total else "",
        f"{event.elapsed_s:.0f} s",
    ]
    return "<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>"


def progress() -> Callable[[Event], None]:
    """What to give as ``on_event`` in a notebook. Outside of one it stays silent."""
    display = _display()
    return Board(lambda text: display.update(_Html(text))) if display else _silent


class _Html:
    """HTML that a notebook shows as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_html_(self) -> str:
        return self._text


def _display() -> Display | None:
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    shown: Display = display(_Html(""), display_id=True)  # type: ignore[no-untyped-call]
    return shown


def _silent(_: Event) -> None:
    """Show nothing."""
