"""Putting back what a failed apply changed: last first, the failed steps included."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from clouddeploy.engine.events import SCOPE, Cancelled, Emit, Scope, Stop
from clouddeploy.engine.graph import reach
from clouddeploy.engine.plan import Action, Step
from clouddeploy.engine.resource import Resource, State, differences
from clouddeploy.engine.work import Job, Stage, first_line
from clouddeploy.errors import NameConflict


@dataclass
class Undo:
    """The undo of one apply, and what has come of it.

    Args:
        pending: what is still to be undone, next first.
        tell: takes the events.
        stop: asked for on a second Ctrl-C; what is pending then stays.
        deadline: `time.monotonic` value after which waiting ends.
        undone: what was removed or restored, one line each.
        left: steps that could not be undone, in the order in which to clean up.
        causes: why not, by key.
    """

    pending: list[Job]
    tell: Emit
    stop: Stop
    deadline: float
    undone: list[str] = field(default_factory=list)
    left: list[Step] = field(default_factory=list)
    causes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, jobs: Sequence[Job], *, tell: Emit, stop: Stop, timeout_s: float) -> Undo:
        """The undo of those `jobs` that were begun."""
        return cls([j for j in reversed(jobs) if j.begun], tell, stop, time.monotonic() + timeout_s)

    def run(self) -> None:
        """Undo what is pending, one after the other, until done or stopped."""
        needs = {job.step.key: job.step.resource.needs for job in self.pending}
        held: set[str] = set()
        while self.pending and not self.stop.asked:
            job = self.pending[0]
            if job.step.key in held:
                self._leave(job.step, "something that could not be undone still needs it")
            else:
                try:
                    undone = self._try(job)
                except Cancelled:
                    return  # how far this one came is not known, so it stays pending
                if not undone:
                    held |= reach(job.step.key, needs)
            self.pending.pop(0)

    def remaining(self) -> list[Step]:
        """What is not undone, in the order in which to clean up."""
        return [*self.left, *(job.step for job in self.pending)]

    def _leave(self, step: Step, cause: str) -> None:
        self.left.append(step)
        self.causes[step.key] = cause

    def _try(self, job: Job) -> bool:
        step = job.step
        scope = Scope(step.key, step.action, self.tell, self.stop, self.deadline)
        token = SCOPE.set(scope)
        scope.event("undo-started", f"undo {step.action} of {step.resource.kind} {step.name}")
        try:
            done = undo_step(step, finished=job.stage is Stage.DONE, error=job.error)
        except Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told, and the rest undone
            if not is_undone(step):
                scope.event("undo-failed", first_line(error))
                self._leave(step, f"{type(error).__name__}: {first_line(error)}")
                return False
            done = f"{_verb(step)} {step.key}"
        finally:
            SCOPE.reset(token)
        scope.event("undo-done", done or f"{step.key} had not changed")
        if done:
            self.undone.append(done)
        if job.stage is Stage.LOST:
            self._leave(step, "its call was still under way when the undo began, and may land yet")
        return job.stage is not Stage.LOST


def undo_step(step: Step, *, finished: bool, error: BaseException | None) -> str:
    """Take back one step; tells what was done, or an empty text when nothing had to be.

    Args:
        step: what was done, or begun.
        finished: whether it had succeeded.
        error: why it failed.
    """
    resource, before = step.resource, step.actual
    if step.action is Action.CREATE or before is None:
        if not finished and (isinstance(error, NameConflict) or _is_foreign(resource)):
            return ""
        resource.delete()
    elif step.action is Action.UPDATE:
        if not _restore(resource, step.wish or {}, before):
            return ""
    else:
        now = resource.read()
        if now is not None and not differences(now, before):
            return ""
        resource.delete()
        resource.create(before)
    return f"{_verb(step)} {step.key}"


def _verb(step: Step) -> str:
    return "removed" if step.action is Action.CREATE else "restored"


def _is_foreign(resource: Resource) -> bool:
    """Whether a failed create met something that isn't ours and must not be deleted.

    The plan saw nothing of that name, but the create never told whose it is.
    """
    try:
        resource.read()
    except NameConflict:
        return True
    except Exception:  # noqa: BLE001 - no reads are answered either; the delete will tell
        return False
    return False


def _restore(resource: Resource, wish: State, before: State) -> bool:
    """Update back to `before`, whether or not the update to `wish` had landed; False when it hadn't."""
    try:
        now = resource.read()
    except NameConflict:
        raise
    except Exception:  # noqa: BLE001 - undo by what is known; the update will tell
        now = wish
    if now is None:
        resource.create(before)
    elif differences(now, before):
        resource.update(now, before)
    else:
        return False
    return True


def is_undone(step: Step) -> bool:
    """Whether the cloud is as it was before `step`; False when it can't be read."""
    try:
        now = step.resource.read()
    except BaseException:  # noqa: BLE001 - what can't be read counts as left
        return False
    if step.action is Action.DELETE or step.actual is None:
        return now is None
    return now is not None and not differences(now, step.actual)
