"""Progress: quiet where it is quick, plain lines off a terminal, redrawn lines on one."""

from __future__ import annotations

import io
import json

import pytest
from fake_deployer import Screen
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.cli.lively import LivelyProgress
from clouddeploy.cli.progress import PlainProgress, event_line, size_text
from clouddeploy.cli.running import follow, fresh, seconds
from clouddeploy.cli.terminal import Terminal
from clouddeploy.engine.events import Event

UPLOAD = [Event("progress", "artifact", text="uploading", done=n, total=4096) for n in (0, 1024, 4096)]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Event("step-done", "endpoint/a", "create", elapsed_s=3.2), "create endpoint/a: done (3 s)"),
        (Event("step-done", "endpoint/a", "create", "create endpoint a"), "create endpoint a: done"),
        (Event("waiting", "k" * 30 + "x" * 30, text="Creating"), f"{'k' * 30}xxxxx…{'x' * 12}: Creating"),
        (Event("waiting", "endpoint/a", text="Creating", elapsed_s=31), "endpoint/a: Creating (31 s)"),
        (UPLOAD[1], "artifact: uploading 1.0 KiB of 4.0 KiB (25%)"),
        (Event("step-failed", "role/a", "create", "denied"), "role/a: FAILED: denied"),
        (Event("undo-done", "role/a", "create", "removed role/a"), "undo: removed role/a"),
        (Event("undo-failed", "role/a", text="denied"), "role/a: NOT UNDONE: denied"),
    ],
)
def test_an_event_is_a_line(event: Event, line: str) -> None:
    assert event_line(event) == line


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes_are_told_in_the_unit_people_read(count: int, text: str) -> None:
    assert size_text(count) == text


def test_plain_lines_tell_what_goes_on_rarely_and_its_end_always() -> None:
    said: list[str] = []
    now = iter([0.0, 0.0, 1.0, 2.0, 2.0])
    with PlainProgress(said.append, clock=lambda: next(now)) as progress:
        for event in UPLOAD:
            progress.event(event)
    assert [line.rpartition(" ")[2] for line in said] == ["(0%)", "(100%)"]


def test_what_is_quick_is_not_talked_about() -> None:
    said: list[str] = []
    with PlainProgress(said.append) as progress, progress.activity("looking"):
        pass
    assert said == []


def test_a_lively_terminal_shows_steps_and_leaves_their_ends() -> None:
    screen = Screen()
    with LivelyProgress(screen, colour=False) as progress:
        progress.event(Event("step-started", "endpoint/a", "create"))
        for event in UPLOAD:
            progress.event(event)
        with progress.activity("looking"):
            assert progress.under_way == 3
            progress.event(Event("step-done", "endpoint/a", "create", elapsed_s=2))
            assert progress.under_way == 2
    assert "create endpoint/a: done (2 s)" in screen.getvalue()


@pytest.mark.parametrize(
    ("environ", "lively"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "CI": "true"}, False)],
)
def test_lines_are_redrawn_only_on_a_terminal_that_can(environ: dict[str, str], lively: bool) -> None:
    assert Terminal(stderr=Screen(), environ=environ).lively is lively
    assert not Terminal(stderr=io.StringIO(), environ=environ).lively


def test_no_color_is_heeded() -> None:
    assert not Terminal(environ={"NO_COLOR": "1"}).colour
    assert Terminal(environ={"NO_COLOR": ""}).colour


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800), ("7", 7)]
)
def test_spans_of_time_are_read(text: str, value: float) -> None:
    assert seconds(text) == value


@given(log=st.lists(st.integers(0, 9).map(str), unique=True), window=st.integers(1, 10), data=st.data())
def test_following_a_log_prints_each_line_once(log: list[str], window: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(log)))
    later = data.draw(st.integers(at, min(len(log), at + window - 1)))
    before, now = log[max(0, at - window) : at], log[max(0, later - window) : later]
    assert list(fresh(before, now)) == log[at:later]


def test_follow_prints_new_lines_until_ctrl_c() -> None:
    out = io.StringIO()
    windows = iter([["a", "b"], ["a", "b", "c"]])
    pauses = iter([None, None])

    def pause(_: float) -> None:
        if next(pauses, "over") == "over":
            raise KeyboardInterrupt

    code = follow("x", ["a"], lambda: next(windows), Terminal(stdout=out), as_json=True, pause=pause)
    assert code == 0
    assert [json.loads(line)["line"] for line in out.getvalue().splitlines()] == ["a", "b", "c"]
