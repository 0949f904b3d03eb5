"""Taking a plan's steps: in parallel, undone on failure, stopped by Ctrl-C.

The steps are led by a thread of their own (`_Run.lead`), so that Ctrl-C, which Python raises in the
main thread between any two instructions, never tears the bookkeeping: the main thread only waits,
counts, and passes the wish to stop on.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from clouddeploy.engine import verdict
from clouddeploy.engine.events import Cancelled, Emit, Event, Speaker, Stop
from clouddeploy.engine.graph import reach, users
from clouddeploy.engine.plan import Action, Plan, Step
from clouddeploy.engine.threads import start
from clouddeploy.engine.undo import Undo, is_undone
from clouddeploy.engine.work import Crew, Job, Stage

ABANDON_S = 5.0
"""Seconds that a cut-short undo gets to notice it."""


def apply(
    plan: Plan,
    *,
    emit: Emit | None = None,
    timeout_s: float = 3600,
    undo_timeout_s: float = 1800,
    grace_s: float = 60,
    workers: int = 8,
) -> None:
    """Take the plan's steps, each as soon as what it needs is done.

    When a step fails, no other begins, those under way are asked to give up and awaited, and what
    was changed is undone, last first, the failed steps included. What should go is deleted only
    after everything else is in place; a fault there undoes nothing.

    The first Ctrl-C stops and undoes; another one, while it is undone, cuts the undo short.

    Args:
        plan: what to do; see `make_plan`.
        emit: told of progress, from several threads but never two at once.
        timeout_s: seconds for everything but the undo.
        undo_timeout_s: seconds for the undo.
        grace_s: seconds that running steps get to end after they were asked to.
        workers: steps at the same time, at most.

    Raises:
        DeployFailed: a step failed; everything was undone.
        Timeout: a step did not finish in time; everything was undone.
        LeftBehind: something could not be undone, or what should go could not be removed.
        Interrupted: Ctrl-C; undone as far as it says.
    """
    if not plan.changes:
        return
    run = _Run(plan, Speaker(emit), time.monotonic() + timeout_s, undo_timeout_s, grace_s, workers)
    run.wait()
    error = run.error()
    if error is not None:
        raise error


@dataclass
class _Run:
    plan: Plan
    tell: Emit
    deadline: float
    undo_timeout_s: float
    grace_s: float
    workers: int

    def __post_init__(self) -> None:
        self._stop, self._undo_stop = Stop(), Stop()
        self._jobs, self._deletes = _wish_jobs(self.plan), _delete_jobs(self.plan)
        self._undo: Undo | None = None
        self._interrupted = False
        self._broken: BaseException | None = None
        self._over = False
        self._begun, self._ended = threading.Lock(), threading.Lock()
        self._ended.acquire()

    def lead(self) -> None:
        """Run everything. A second call does nothing: see `wait`."""
        if not self._begun.acquire(blocking=False):
            return
        try:
            self._lead()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._broken = error
        finally:
            self._over = True
            self._ended.release()

    def _lead(self) -> None:
        crew = Crew(self.tell, self._stop, self.deadline, self.workers, self.grace_s)
        crew.run(self._jobs)
        if not self._served():
            self._undo = self._new_undo()
            self._undo.run()
        elif self._deletes and not self._stop.asked:
            crew.act = _remove
            crew.run(self._deletes, keep_going=True)

    def _new_undo(self) -> Undo:
        return Undo.of(self._jobs, tell=self.tell, stop=self._undo_stop, timeout_s=self.undo_timeout_s)

    def _served(self) -> bool:
        return all(job.stage is Stage.DONE for job in self._jobs)

    def wait(self) -> None:
        """Start the lead and wait until it has ended, passing Ctrl-C on to it.

        Ctrl-C in the middle of the start leaves unknown whether it started, so it's started again.
        A plain lock is waited for: unlike `Thread.join` and `Event.wait` it has no bookkeeping
        that an exception raised in the middle of it could break. `_over` stays true, whereas a lock
        that was had just before Ctrl-C is raised can't be had again.
        """
        started = False
        presses = heard = 0
        give_up_at = float("inf")
        while not self._over and time.monotonic() < give_up_at:
            try:
                if presses > heard:
                    give_up_at = self._interrupt(presses)
                    heard = presses
                if not started:
                    start(self.lead, name="lead")
                    started = True
                self._ended.acquire(timeout=0.25)
            except KeyboardInterrupt:
                presses += 1

    def _interrupt(self, presses: int) -> float:
        """Pass `presses` of Ctrl-C on; tells until when to wait for the lead."""
        if presses > 1:
            self._interrupted = True
            self._undo_stop.ask()
            self._stop.ask()
            return time.monotonic() + (ABANDON_S if presses == 2 else 0)
        # While a failure is being undone, the first press only asks whether that is meant.
        self._interrupted = self._undo is None
        self._stop.ask()
        text = "undoing; press Ctrl-C again to stop that and be told what is left"
        self.tell(Event("progress", "", "undo", text))
        return float("inf")

    def error(self) -> BaseException | None:
        if self._broken is not None:
            return self._broken
        jobs = self._jobs
        if not self._served():
            undo = self._undo or self._new_undo()
            return verdict.of_undone(self.plan, jobs, undo, interrupted=self._was_interrupted())
        if self._was_interrupted() or any(job.stage is not Stage.DONE for job in self._deletes):
            return verdict.of_leftovers(self.plan, self._deletes, interrupted=self._was_interrupted())
        return None

    def _was_interrupted(self) -> bool:
        every = [*self._jobs, *self._deletes]
        return self._interrupted or any(isinstance(job.error, KeyboardInterrupt) for job in every)


def _wish_jobs(plan: Plan) -> list[Job]:
    # Through kept resources too: what one of them needs may be about to change.
    needs = {step.key: step.resource.needs for step in plan.steps}
    steps = [step for step in plan.steps if step.action not in (Action.KEEP, Action.DELETE)]
    acting = {step.key for step in steps}
    return [Job(step, reach(step.key, needs) & acting) for step in steps]


def _delete_jobs(plan: Plan) -> list[Job]:
    steps = [step for step in plan.steps if step.action is Action.DELETE]
    needed_by = users(step.resource for step in steps)
    return [Job(step, needed_by[step.key]) for step in steps]


def _remove(step: Step) -> None:
    """Delete; an error is none when the thing is gone all the same, as after a lost answer."""
    try:
        step.resource.delete()
    except Cancelled:
        raise
    except Exception:
        if not is_undone(step):
            raise
