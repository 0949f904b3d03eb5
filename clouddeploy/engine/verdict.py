"""What is told after an apply that did not go through: the error for what happened and what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clouddeploy.engine.plan import Action, Plan, Step
from clouddeploy.engine.undo import Undo
from clouddeploy.engine.work import Job, Stage, first_line
from clouddeploy.errors import CloudDeployError, DeployFailed, Interrupted, LeftBehind, Timeout

AGAIN = "run the same command again: it continues from what is there"


def of_undone(plan: Plan, jobs: Sequence[Job], undo: Undo, *, interrupted: bool) -> CloudDeployError:
    """The error after the wish could not be fulfilled, and `undo` has run as far as it could."""
    failed = _failures(jobs)
    cause = failed[0].error if failed else None
    remaining = undo.remaining()
    left = _rows(step for step in remaining if step.action is Action.CREATE)
    unrestored = [_unrestored(step) for step in remaining if step.action is not Action.CREATE]
    why = "; ".join(filter(None, [_why(failed), _why_left(undo)]))
    fix = "remove what is left with its command, or " + AGAIN if remaining else _fix(cause)
    log_tail = getattr(cause, "log_tail", ())
    if interrupted:
        how = (
            "interrupted, and the undo was cut short" if undo.pending else "interrupted by Ctrl-C and undone"
        )
        return _chained(
            Interrupted(
                _about(plan, "interrupted by Ctrl-C, not all could be undone" if undo.left else how),
                why=why,
                fix=fix,
                undone=undo.undone,
                log_tail=log_tail,
                left=left,
                unrestored=unrestored,
            ),
            cause,
        )
    what = _about(plan, f"could not {_act(failed[0].step)}" if failed else "a step was given up")
    if remaining:
        error: CloudDeployError = LeftBehind(
            what, why=why, fix=fix, undone=undo.undone, log_tail=log_tail, left=left, unrestored=unrestored
        )
    elif isinstance(cause, Timeout):
        undone = f"undone: {'; '.join(undo.undone)}" if undo.undone else "nothing had been changed"
        error = Timeout(what, why=f"{why}; {undone}", fix=fix)
    else:
        error = DeployFailed(what, why=why, fix=fix, undone=undo.undone, log_tail=log_tail)
    return _chained(error, cause)


def of_leftovers(plan: Plan, deletes: Sequence[Job], *, interrupted: bool) -> CloudDeployError:
    """The error after everything wished for is in place, and some of what should go is still there."""
    failed = _failures(deletes)
    cause = failed[0].error if failed else None
    left = _rows(job.step for job in deletes if job.stage is not Stage.DONE)
    served = any(step.action is not Action.DELETE for step in plan.steps)
    many = f"{len(left)} object{'s' if len(left) > 1 else ''} that should be gone"
    what = f"{'everything asked for is in place, but ' if served else ''}{many} could not be removed"
    if interrupted:
        what = f"interrupted by Ctrl-C; {what}" if left else "interrupted by Ctrl-C when everything was done"
    kind = Interrupted if interrupted else LeftBehind
    error = kind(
        _about(plan, what),
        why=_why(failed),
        fix="run the same command again, it removes the rest; or remove it with its command" if left else "",
        left=left,
        log_tail=getattr(cause, "log_tail", ()),
    )
    return _chained(error, cause)


def _failures(jobs: Sequence[Job]) -> list[Job]:
    return sorted((job for job in jobs if job.stage is Stage.FAILED), key=lambda job: job.failed_at)


def _about(plan: Plan, what: str) -> str:
    return f"{plan.title}: {what}" if plan.title else what


def _act(step: Step) -> str:
    return f"{step.action} {step.resource.kind} {step.name}"


def _rows(steps: Iterable[Step]) -> list[tuple[str, str]]:
    return [(step.key, step.resource.removal) for step in steps]


def _unrestored(step: Step) -> str:
    fields = ", ".join(step.changes)
    return f"{step.key} ({fields})" if fields else step.key


def _why(failed: Sequence[Job]) -> str:
    told = [_cause(job.error) for job in failed if job.error is not None]
    others = [f"{_act(job.step)} failed too: {text}" for job, text in zip(failed[1:], told[1:], strict=True)]
    return "; ".join(told[:1] + others)


def _cause(error: BaseException) -> str:
    if isinstance(error, CloudDeployError):
        return f"{error.what} ({error.why})" if error.why else error.what
    return f"{type(error).__name__}: {first_line(error)}"


def _why_left(undo: Undo) -> str:
    return "; ".join(f"could not undo {key}: {cause}" for key, cause in undo.causes.items())


def _fix(cause: BaseException | None) -> str:
    mend = cause.fix if isinstance(cause, CloudDeployError) else ""
    return mend or AGAIN


def _chained(error: CloudDeployError, cause: BaseException | None) -> CloudDeployError:
    error.__cause__ = cause
    return error
