from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from clouddeploy.engine import Event, apply, make_plan, make_removal, report, wait_until
from clouddeploy.errors import CloudError, DeployFailed, LeftBehind, NameConflict, Timeout
from tests.unit.engine.acting import Acting, fail

BROKEN = CloudError("the quota is used up", why="10 of 10", fix="ask for more", log_tail=("one", "two"))
WHO: ContextVar[str] = ContextVar("who", default="nobody")


def shared(*resources: Acting) -> list[str]:
    """One log for all `resources`."""
    log: list[str] = []
    for resource in resources:
        resource.log = log
    return log


def test_each_step_waits_for_what_it_needs() -> None:
    a, b, c = Acting("a"), Acting("b", needs=("a",)), Acting("c", needs=("b",), actual={"size": 0})
    log = shared(a, b, c)
    apply(make_plan([c, b, a]))
    assert log == ["create a", "create b", "update c"]


def test_a_step_waits_through_a_kept_resource_for_what_that_one_needs() -> None:
    slow = threading.Event()
    a = Acting("a", on_create=lambda: _wait(slow))
    kept = Acting("kept", needs=("a",), actual={"size": 1})
    c = Acting("c", needs=("kept",))
    log = shared(a, kept, c)
    threading.Timer(0.05, slow.set).start()
    apply(make_plan([a, kept, c]))
    assert log == ["create a", "create c"]


def _wait(event: threading.Event) -> None:
    assert event.wait(20)


def test_independent_steps_run_at_the_same_time() -> None:
    together = threading.Barrier(3)
    apply(make_plan([Acting(f"a/{n}", on_create=lambda: _meet(together)) for n in range(3)]), workers=3)


def _meet(barrier: threading.Barrier) -> None:
    barrier.wait(timeout=20)


def test_no_more_steps_run_at_the_same_time_than_workers() -> None:
    guard, running, most = threading.Lock(), [0], [0]

    def act() -> None:
        with guard:
            running[0] += 1
            most[0] = max(most[0], running[0])
        wait_until(lambda: True, what="x", timeout_s=1)
        with guard:
            running[0] -= 1

    apply(make_plan([Acting(f"a/{n}", on_create=act) for n in range(12)]), workers=2)
    assert most[0] <= 2


def test_a_plan_with_nothing_to_do_is_applied_without_a_call() -> None:
    kept = Acting("a", actual={"size": 1})
    plan = make_plan([kept])
    kept.on_read = fail(AssertionError("read again"))
    apply(plan)
    assert kept.log == []


def test_a_failure_is_undone_last_first_and_keeps_what_the_cloud_said() -> None:
    a, b = Acting("a"), Acting("b", needs=("a",), actual={"size": 0})
    c = Acting("model/c", needs=("b",), on_create=fail(BROKEN))
    log = shared(a, b, c)
    with pytest.raises(DeployFailed) as caught:
        apply(make_plan([a, b, c], title="digits on memory"))
    error = caught.value
    assert log == ["create a", "update b", "create model/c", "delete model/c", "update b", "delete a"]
    assert (a.actual, b.actual) == (None, {"size": 0})
    assert type(error) is DeployFailed
    assert error.what == "digits on memory: could not create model c"
    assert error.why == "the quota is used up (10 of 10)"
    assert error.fix == "ask for more"
    assert error.log_tail == ("one", "two")
    assert error.undone == ("removed model/c", "restored b", "removed a")
    assert error.__cause__ is BROKEN


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3), OSError(28, "No space left")])
def test_any_exception_in_a_step_is_undone(error: BaseException) -> None:
    a, b = Acting("a"), Acting("b", needs=("a",), on_create=fail(error))
    with pytest.raises(DeployFailed) as caught:
        apply(make_plan([a, b]))
    assert a.actual is None
    assert type(error).__name__ in caught.value.why
    assert caught.value.__cause__ is error


def test_after_a_failure_nothing_begins_and_what_waits_gives_up() -> None:
    waiting = threading.Event()

    def wait_for_ever() -> None:
        waiting.set()
        wait_until(lambda: None, what="never", timeout_s=60, first_s=60)

    slow = Acting("slow", on_create=wait_for_ever)
    broken = Acting("broken", on_create=lambda: (_wait(waiting), fail(BROKEN)()))  # type: ignore[func-returns-value, arg-type, return-value]
    later = Acting("later", needs=("slow",))
    log = shared(slow, broken, later)
    with pytest.raises(DeployFailed) as caught:
        apply(make_plan([slow, broken, later]))
    assert "create later" not in log
    assert {"delete slow", "delete broken"} <= set(log)
    assert "failed too" not in caught.value.why


def test_a_long_upload_that_only_reports_is_given_up_too() -> None:
    uploading, failed = threading.Event(), threading.Event()

    def upload() -> None:
        for part in range(10_000):
            uploading.set()
            _wait(failed)
            report("uploading", part, 10_000)

    def fail_then() -> None:
        _wait(uploading)
        threading.Timer(0.05, failed.set).start()
        raise BROKEN

    events: list[Event] = []
    with pytest.raises(DeployFailed):
        apply(
            make_plan([Acting("up", on_create=upload), Acting("b", on_create=fail_then)]), emit=events.append
        )
    assert 1 <= sum(event.kind == "progress" for event in events) < 10_000


def test_a_step_that_does_not_give_up_in_time_is_told_as_left() -> None:
    forever, begun = threading.Event(), threading.Event()

    def stuck() -> None:
        begun.set()
        forever.wait(20)

    def fail_then() -> None:
        _wait(begun)
        raise BROKEN

    a, b = Acting("a", on_create=stuck), Acting("b", on_create=fail_then)
    with pytest.raises(LeftBehind) as caught:
        apply(make_plan([a, b]), grace_s=0.05)
    forever.set()
    assert caught.value.left == (("a", "cloud rm a"),)
    assert "still under way" in caught.value.why


def test_a_name_that_turned_out_to_be_foreign_is_not_deleted() -> None:
    a = Acting("a")
    foreign = Acting("b", needs=("a",), on_create=fail(NameConflict("b belongs to somebody else")))
    with pytest.raises(DeployFailed) as caught:
        apply(make_plan([a, foreign]))
    assert foreign.log == ["create b"]
    assert caught.value.undone == ("removed a",)


def test_a_refused_create_never_deletes_what_somebody_else_made_meanwhile() -> None:
    a = Acting("a", on_create=fail(BROKEN))
    plan = make_plan([a])
    a.on_read = fail(NameConflict("a belongs to somebody else by now"))
    with pytest.raises(DeployFailed):
        apply(plan)
    assert a.log == ["create a"]


@pytest.mark.parametrize(
    ("now", "log", "undone"),
    [
        ({"size": 0}, ["update a"], ()),
        ({"size": 1}, ["update a", "update a"], ("restored a",)),
        (None, ["update a", "create a"], ("restored a",)),
    ],
    ids=["did not land", "landed", "vanished"],
)
def test_a_failed_update_is_put_back_as_far_as_it_came(
    now: dict[str, int] | None, log: list[str], undone: tuple[str, ...]
) -> None:
    a = Acting("a", actual={"size": 0})

    def once() -> None:
        a.actual, a.on_update = now, lambda: None
        raise BROKEN

    a.on_update = once
    with pytest.raises(DeployFailed) as caught:
        apply(make_plan([a]))
    assert a.log == log
    assert a.actual == {"size": 0}
    assert caught.value.undone == undone


def test_an_update_is_put_back_even_when_the_cloud_answers_no_reads() -> None:
    a = Acting("a", actual={"size": 0})
    b = Acting("b", needs=("a",), on_create=fail(BROKEN))
    plan = make_plan([a, b])
    a.on_read = fail(CloudError("reads are refused"))
    with pytest.raises(DeployFailed):
        apply(plan)
    assert a.actual == {"size": 0}


def test_a_replacement_is_put_back() -> None:
    a = Acting("a", actual={"size": 0}, immutable=frozenset({"size"}))
    b = Acting("b", needs=("a",), on_create=fail(BROKEN))
    with pytest.raises(DeployFailed) as caught:
        apply(make_plan([a, b]))
    assert a.log == ["delete a", "create a", "delete a", "create a"]
    assert a.actual == {"size": 0}
    assert "restored a" in caught.value.undone


def test_what_could_not_be_undone_is_told_with_its_command_and_what_it_needs_is_left_alone() -> None:
    a = Acting("a")
    b = Acting("b", needs=("a",), on_delete=fail(CloudError("b can't be deleted")))
    c = Acting("c", needs=("b",), on_create=fail(BROKEN))
    with pytest.raises(LeftBehind) as caught:
        apply(make_plan([a, b, c]))
    error = caught.value
    assert error.left == (("b", "cloud rm b"), ("a", "cloud rm a"))
    assert error.undone == ("removed c",)
    assert "b can't be deleted" in error.why
    assert "the quota is used up" in error.why
    assert "remove it with: cloud rm b" in str(error)
    assert "delete a" not in a.log


def test_an_update_that_could_not_be_put_back_is_told_and_not_to_be_removed() -> None:
    a = Acting("endpoint/a", actual={"size": 0})
    b = Acting("b", needs=("endpoint/a",), on_create=fail(BROKEN))
    plan = make_plan([a, b])
    a.on_update = lambda: a.log.count("update endpoint/a") == 2 and fail(BROKEN)()  # type: ignore[assignment, func-returns-value, return-value]
    with pytest.raises(LeftBehind) as caught:
        apply(plan)
    assert caught.value.left == ()
    assert caught.value.unrestored == ("endpoint/a (size)",)
    assert "changed and not put back: endpoint/a (size)" in str(caught.value)


def test_an_undo_whose_answer_was_lost_counts_as_done() -> None:
    a = Acting("a")

    def lost() -> None:
        a.actual = None
        raise BROKEN

    a.on_delete = lost
    with pytest.raises(DeployFailed) as caught:
        apply(make_plan([a, Acting("b", needs=("a",), on_create=fail(BROKEN))]))
    assert type(caught.value) is DeployFailed
    assert "removed a" in caught.value.undone


def test_the_time_limit_is_an_error_of_its_own_and_undone() -> None:
    def wait() -> None:
        wait_until(lambda: None, what="endpoint b to be InService", timeout_s=60, first_s=0.01)

    a, b = Acting("a"), Acting("endpoint/b", needs=("a",), on_create=wait)
    with pytest.raises(Timeout) as caught:
        apply(make_plan([a, b]), timeout_s=0.1)
    assert "while waiting for endpoint b to be InService" in caught.value.why
    assert "removed a" in caught.value.why
    assert a.actual is None


def test_no_step_begins_after_the_time_limit() -> None:
    a = Acting("a")
    with pytest.raises(Timeout, match="could not create a a"):
        apply(make_plan([a]), timeout_s=0)
    assert "create a" not in a.log


def test_the_undo_has_time_of_its_own() -> None:
    a = Acting("a", on_delete=lambda: wait_until(lambda: True, what="it to be gone", timeout_s=5))
    with pytest.raises(Timeout):
        apply(make_plan([a, Acting("b", needs=("a",), on_create=_never)]), timeout_s=0.05)
    assert a.actual is None


def _never() -> None:
    wait_until(lambda: None, what="never", timeout_s=60, first_s=0.01)


def test_a_fault_while_tidying_up_keeps_the_release_and_removes_the_rest() -> None:
    new, old = Acting("new"), [Acting("old/1"), Acting("old/2", needs=("old/1",)), Acting("old/3")]
    old[1].on_delete = fail(BROKEN)
    old[1].actual = {"size": 1}
    with pytest.raises(LeftBehind) as caught:
        apply(make_plan([new], stale=old, title="digits on memory"))
    assert new.actual == {"size": 1}
    assert caught.value.left == (("old/2", "cloud rm old/2"), ("old/1", "cloud rm old/1"))
    assert caught.value.undone == ()
    assert caught.value.what == (
        "digits on memory: everything asked for is in place, but 2 objects that should be gone "
        "could not be removed"
    )
    assert old[2].log == ["delete old/3"]


def test_a_delete_whose_answer_was_lost_is_no_failure() -> None:
    old = Acting("old", actual=None, on_delete=fail(BROKEN))
    apply(make_removal([old]))


def test_events_tell_what_happens_in_order_and_one_at_a_time() -> None:
    def create() -> None:
        report("uploading", 5, 10)
        answers = iter([None, "there"])
        wait_until(lambda: next(answers), what="a to exist", timeout_s=5, first_s=0)

    events: list[Event] = []
    busy = threading.Lock()

    def emit(event: Event) -> None:
        assert busy.acquire(blocking=False), "two events at once"
        events.append(event)
        busy.release()

    a, b = Acting("a", on_create=create), Acting("b", needs=("a",), on_create=fail(BROKEN))
    with pytest.raises(DeployFailed):
        apply(make_plan([a, b]), emit=emit)
    assert [(e.kind, e.key) for e in events] == [
        ("step-started", "a"),
        ("progress", "a"),
        ("waiting", "a"),
        ("step-done", "a"),
        ("step-started", "b"),
        ("step-failed", "b"),
        ("undo-started", "b"),
        ("undo-done", "b"),
        ("undo-started", "a"),
        ("undo-done", "a"),
    ]
    assert (events[1].text, events[1].done, events[1].total) == ("uploading", 5, 10)
    assert events[2].text == "waiting for a to exist"
    assert events[5].text == "the quota is used up"
    assert {e.action for e in events} == {"create"}
    assert all(e.elapsed_s >= 0 for e in events)


def test_a_listener_that_breaks_harms_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    a = Acting("a")
    apply(make_plan([a]), emit=fail_on_event(BrokenPipeError("gone")))
    assert a.actual == {"size": 1}
    assert "is not told any more" in caplog.text


def fail_on_event(error: Exception) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        raise error

    return emit


def test_steps_see_the_context_variables_of_the_caller() -> None:
    seen: list[str] = []
    token = WHO.set("the caller")
    try:
        apply(make_plan([Acting("a", on_create=lambda: seen.append(WHO.get()))]))
    finally:
        WHO.reset(token)
    assert seen == ["the caller"]


def test_several_failures_are_all_told() -> None:
    together = threading.Barrier(2)

    def act() -> None:
        _meet(together)
        raise BROKEN

    with pytest.raises(DeployFailed) as caught:
        apply(make_plan([Acting("a", on_create=act), Acting("b", on_create=act)]))
    assert "failed too" in caught.value.why
