"""`Prepared`: a plan together with what carries it out, exactly as it was shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clouddeploy.engine.apply import apply
from clouddeploy.engine.events import Event
from clouddeploy.engine.lock import LockMoved
from clouddeploy.engine.plan import Action, Plan
from clouddeploy.errors import CloudDeployError, DeployFailed, DeploymentLocked, PlanOutdated, Timeout

if TYPE_CHECKING:
    from clouddeploy.providers import Graph, Provider

OnEvent = Callable[[Event], None]


def peek(graph: Graph) -> str | DeploymentLocked:
    """The lock's version before anything is read; or who holds it, which a plan needn't mind."""
    try:
        return graph.lock.peek()
    except DeploymentLocked as error:
        return error


@dataclass(frozen=True, repr=False)
class Prepared:
    """A plan that can be looked at, and then carried out.

    Args:
        name: the deployment.
        plan: what will be done.
        graph: the resources and the lock behind it.
        seen: the lock's version from before the plan's reads, or the error that names its holder.
        provider: the target's.
        timeout_s: seconds that carrying it out may take.
        preflight: slow checks, done right before the first change.
        removal: the plan removes the whole deployment.
    """

    name: str
    plan: Plan
    graph: Graph
    seen: str | DeploymentLocked
    provider: Provider
    timeout_s: float
    preflight: Callable[[], Sequence[str]] = tuple
    removal: bool = False

    def apply(self, *, on_event: OnEvent | None = None) -> None:
        """Carry it out; with nothing to do it does nothing.

        Raises:
            PlanOutdated: somebody changed the deployment since the plan was made; nothing was done.
            DeploymentLocked: somebody is changing it.
            DeployFailed, LeftBehind, Timeout, Interrupted: as for `Deployer.deploy`.
        """
        if isinstance(self.seen, DeploymentLocked):
            raise self.seen
        if not self.plan.changes and not self.removal:
            return
        for warning in self.preflight():
            if on_event:
                on_event(Event("progress", "", "check", f"warning: {warning}"))
        try:
            self.graph.lock.acquire(self.seen)
        except LockMoved as error:
            raise PlanOutdated(
                f"{self.name!r} was changed since the plan was made, and nothing was done",
                why="another deploy or removal of the name came in between",
                fix="make the plan again, and look at it again",
            ) from error
        try:
            apply(self.plan, emit=on_event, timeout_s=self.timeout_s)
        except BaseException as error:
            self._release_after(error)
            raise
        self.graph.lock.release(forget=self.removal)

    def _release_after(self, error: BaseException) -> None:
        """Give the lock back after a failure; what goes wrong here must not hide that failure."""
        try:
            self.graph.lock.release(forget=self._is_gone(error))
        except CloudDeployError as second:
            error.add_note(f"the deployment's lock could not be given back: {second}")

    def _is_gone(self, error: BaseException) -> bool:
        """Whether nothing of the deployment is left after a failed apply."""
        if not isinstance(error, DeployFailed | Timeout):
            return False
        if isinstance(error, DeployFailed) and (error.left or error.unrestored):
            return False
        if all(step.action is Action.CREATE for step in self.plan.steps):
            return True
        try:
            return self.provider.status(self.name).phase == "missing"
        except CloudDeployError:
            return False  # then the lock's traces stay, for the next run to remove
