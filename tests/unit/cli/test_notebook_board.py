"""The notebook's progress display."""

from __future__ import annotations

from clouddeploy import notebook
from clouddeploy.engine.events import Event


def test_each_resource_has_one_row_with_its_last_event() -> None:
    shown: list[str] = []
    board = notebook.Board(shown.append)
    board(Event("step-started", "endpoint/a", "create"))
    board(Event("step-started", "role/a", "create"))
    board(Event("step-done", "endpoint/a", "create", elapsed_s=3))
    assert shown[-1].count("<tr>") == 2
    assert shown[-1].index("endpoint/a") < shown[-1].index("role/a")
    assert "✓" in shown[-1]


def test_what_merely_goes_on_is_not_redrawn_at_once() -> None:
    shown: list[str] = []
    now = 0.0
    board = notebook.Board(shown.append, clock=lambda: now)
    for done in range(5):
        board(Event("progress", "artifact", text="uploading", done=done, total=9))
    assert len(shown) == 1
    now = 1.0
    board(Event("progress", "artifact", text="uploading", done=9, total=9))
    assert "<progress value='9' max='9'>" in shown[-1]


def test_text_from_a_cloud_is_escaped() -> None:
    shown: list[str] = []
    notebook.Board(shown.append)(Event("step-failed", "endpoint/a", text="<script>"))
    assert "<script>" not in shown[-1]
    assert "&lt;script&gt;" in shown[-1]


def test_outside_of_a_notebook_progress_is_silent() -> None:
    notebook.progress()(Event("step-started", "endpoint/a"))
