"""Running steps in threads, each as soon as what it waits for is done. Decides nothing about undo."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from clouddeploy.engine.events import SCOPE, Cancelled, Emit, Scope, Stop
from clouddeploy.engine.plan import Action, Step
from clouddeploy.engine.threads import start
from clouddeploy.engine.waiting import out_of_time


class Stage(StrEnum):
    """How far one step is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"  # gave up because it was asked to
    LOST = "lost"  # asked to give up and didn't answer in time: it may still be at work


@dataclass
class Job:
    """One step, and how far it is.

    Args:
        step: what to do.
        after: keys of the jobs that must be done before it.
    """

    step: Step
    after: frozenset[str] = frozenset()
    stage: Stage = Stage.WAITING
    error: BaseException | None = None
    failed_at: float = 0.0

    @property
    def begun(self) -> bool:
        """Whether it may have changed anything."""
        return self.stage is not Stage.WAITING


def first_line(error: BaseException) -> str:
    """What `error` says, on one line."""
    return str(error).partition("\n")[0] or type(error).__name__


def perform(step: Step) -> None:
    """Take one step, in this thread."""
    match step.action:
        case Action.CREATE:
            step.resource.create(step.wish or {})
        case Action.UPDATE:
            step.resource.update(step.actual or {}, step.wish or {})
        case Action.REPLACE:
            step.resource.delete()
            step.resource.create(step.wish or {})
        case Action.DELETE:
            step.resource.delete()
        case Action.KEEP:
            return


@dataclass
class Crew:
    """Runs jobs, several at once, until all are done or there is a reason to stop.

    Args:
        tell: takes the events.
        stop: asked for from outside on Ctrl-C, and by the crew when a job fails.
        deadline: `time.monotonic` value after which no step begins and no wait goes on.
        workers: jobs at the same time, at most.
        grace_s: seconds that running jobs get to end once they were asked to stop.
        act: takes one step.
    """

    tell: Emit
    stop: Stop
    deadline: float
    workers: int
    grace_s: float
    act: Callable[[Step], None] = perform
    _turn: threading.Condition = field(default_factory=threading.Condition)

    def run(self, jobs: Sequence[Job], *, keep_going: bool = False) -> None:
        """Run `jobs`; how each went stands in the job afterwards.

        Args:
            jobs: what to do; they wait for one another by key.
            keep_going: after a failure, still run the jobs that don't wait for the failed one.
        """
        by_key = {job.step.key: job for job in jobs}
        give_up_at: float | None = None
        with self._turn:
            while True:
                if not self.stop.asked:
                    self._launch(jobs, by_key)
                elif give_up_at is None:
                    give_up_at = time.monotonic() + self.grace_s
                running = [job for job in jobs if job.stage is Stage.RUNNING]
                if not running:
                    return
                if give_up_at is not None and time.monotonic() >= give_up_at:
                    for job in running:
                        job.stage = Stage.LOST
                    return
                # Bounded, because a stop from outside only wakes the steps that wait.
                self._turn.wait(0.5 if give_up_at is None else max(0.01, give_up_at - time.monotonic()))
                if not keep_going and any(job.stage is Stage.FAILED for job in jobs):
                    self.stop.ask()

    def _launch(self, jobs: Sequence[Job], by_key: Mapping[str, Job]) -> None:
        free = max(1, self.workers) - sum(job.stage is Stage.RUNNING for job in jobs)
        for job in jobs:
            if free <= 0:
                return
            ready = all(by_key[key].stage is Stage.DONE for key in job.after if key in by_key)
            if job.stage is Stage.WAITING and ready:
                job.stage = Stage.RUNNING
                free -= 1
                start(partial(self._labour, job), name=job.step.key)

    def _labour(self, job: Job) -> None:
        step = job.step
        scope = Scope(step.key, step.action, self.tell, self.stop, self.deadline)
        SCOPE.set(scope)
        scope.event("step-started", f"{step.action} {step.resource.kind} {step.name}")
        stage, error = self._take(step)
        if error is not None and stage is Stage.FAILED:
            scope.event("step-failed", first_line(error))
        elif stage is Stage.DONE:
            scope.event("step-done", f"{step.action} {step.resource.kind} {step.name}")
        with self._turn:
            if job.stage is Stage.RUNNING:  # else it was given up as lost
                job.error, job.failed_at, job.stage = error, time.monotonic(), stage
            self._turn.notify_all()

    def _take(self, step: Step) -> tuple[Stage, BaseException | None]:
        try:
            if time.monotonic() >= self.deadline:
                raise out_of_time(f"about to {step.action} {step.resource.kind} {step.name}")
            self.act(step)
        except Cancelled as error:
            return Stage.STOPPED, error
        except BaseException as error:  # noqa: BLE001 - SystemExit too must be undone like any failure
            return Stage.FAILED, error
        return Stage.DONE, None
