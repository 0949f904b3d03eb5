"""Real Ctrl-C: SIGINT sent to this process while an apply runs in its main thread."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from clouddeploy.engine import Event, State, apply, make_plan, wait_until
from clouddeploy.errors import CloudError, DeployFailed, Interrupted
from tests.unit.engine.acting import Acting, fail
from tests.unit.engine.graph_cloud import Cloud, Thing


@pytest.fixture(autouse=True)
def _sigint_raises() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def press_and_wait() -> None:
    press()
    wait_until(lambda: None, what="never", timeout_s=60, first_s=60)


def test_the_first_press_ends_the_waits_and_undoes() -> None:
    a = Acting("a")
    b = Acting("b", needs=("a",), on_create=press_and_wait)
    c = Acting("c", needs=("b",))
    with pytest.raises(Interrupted) as caught:
        apply(make_plan([a, b, c], title="digits on memory"))
    assert caught.value.what == "digits on memory: interrupted by Ctrl-C and undone"
    assert caught.value.undone == ("removed b", "removed a")
    assert (a.actual, b.actual, c.log) == (None, None, [])
    assert caught.value.exit_code == 130


def test_a_second_press_cuts_the_undo_short_and_tells_what_is_left() -> None:
    a, kept = Acting("a"), Acting("kept", actual={"size": 0})
    b = Acting("b", needs=("a", "kept"), on_create=press_and_wait, on_delete=press_and_wait)
    with pytest.raises(Interrupted) as caught:
        apply(make_plan([a, kept, b]))
    error = caught.value
    assert error.left == (("b", "cloud rm b"), ("a", "cloud rm a"))
    assert error.unrestored == ("kept (size)",)
    assert "the undo was cut short" in error.what
    assert "remove it with: cloud rm b" in str(error)


def test_one_press_while_a_failure_is_undone_does_not_cut_that_short() -> None:
    events: list[Event] = []
    a = Acting("a", on_delete=press)
    b = Acting("b", needs=("a",), on_create=fail(CloudError("broken")))
    with pytest.raises(DeployFailed) as caught:
        apply(make_plan([a, b]), emit=events.append)
    assert a.actual is None
    assert "broken" in caught.value.why


def test_a_press_while_tidying_up_undoes_nothing() -> None:
    new, old = Acting("new"), Acting("old", actual={"size": 1}, on_delete=press_and_wait)
    with pytest.raises(Interrupted) as caught:
        apply(make_plan([new], stale=[old]))
    assert new.actual == {"size": 1}
    assert caught.value.left == (("old", "cloud rm old"),)
    assert caught.value.undone == ()


def test_a_step_that_raises_it_itself_is_an_interruption_too() -> None:
    a = Acting("a", on_create=fail(KeyboardInterrupt()))
    with pytest.raises(Interrupted):
        apply(make_plan([a]))


def test_the_listener_is_told_how_to_stop_the_undo() -> None:
    events: list[Event] = []
    with pytest.raises(Interrupted):
        apply(make_plan([Acting("a", on_create=press_and_wait)]), emit=events.append)
    assert any("press Ctrl-C again" in event.text for event in events)


@pytest.mark.parametrize("at", range(11))
def test_pressed_at_any_call_the_cloud_is_as_before_or_as_asked(at: int) -> None:
    before = {"new/a": {"size": 0, "uses": ()}, "old/x": {"size": 0, "uses": ()}}
    cloud = PressingCloud({key: dict(state) for key, state in before.items()})
    cloud.press_at = at + len(before) + 1  # the plan's three reads come first
    things = [
        Thing(cloud, "new/a", {"size": 1}),
        Thing(cloud, "new/b", {"size": 1}, ("new/a",)),
        Thing(cloud, "new/c", {"size": 1}, ("new/a", "new/b")),
    ]
    wished = {thing.key: dict(thing.desired()) for thing in things}
    plan = make_plan(things, stale=[Thing(cloud, "old/x")])
    cloud.armed = True
    # At the very last call the signal may be delivered after apply has returned.
    with suppress(Interrupted, KeyboardInterrupt):
        apply(plan)
        threading.Event().wait(0.05)
    assert cloud.truth() == before or wished.items() <= cloud.truth().items()
    cloud.armed = False
    apply(make_plan(things, stale=[Thing(cloud, "old/x")]))
    assert cloud.truth() == wished


class PressingCloud(Cloud):
    """Presses Ctrl-C during one call, after it took effect."""

    armed = False
    press_at = -1

    def __call__(self, operation: str, key: str, state: State | None = None) -> Mapping[str, Any] | None:
        number = len(self.calls) if self.armed else -1
        answer = super().__call__(operation, key, state)
        if number == self.press_at:
            press()
        return answer
