"""`Deployer`: the front door. Plans, deploys, lists and deletes on one target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy import registry
from clouddeploy.engine.apply import apply
from clouddeploy.engine.events import Event
from clouddeploy.engine.lock import LockMoved
from clouddeploy.engine.plan import Action, Plan, make_plan
from clouddeploy.errors import CloudDeployError, DeployFailed, DeploymentLocked, NotSupported, Timeout
from clouddeploy.spec import Compression, Deployment, Summary, check_name

if TYPE_CHECKING:
    from clouddeploy.endpoint import Endpoint
    from clouddeploy.model import Model
    from clouddeploy.providers import Graph, Provider

OnEvent = Callable[[Event], None]
TIMEOUT_S = 3600
"""Seconds that a rollback or a removal may take."""
ATTEMPTS = 3
"""How often a plan is made anew when another deploy of the name finished in between."""


class Deployer:
    """Deploys models to one target.

    Args:
        target: ``"sagemaker"``, or any target that an installed package brings.
        emulated: use the embedded cloud on this machine, starting it when it isn't running.
        options: given to the provider, such as ``region`` and ``profile``.

    Raises:
        TargetError: the target is unknown, or what it needs isn't installed.
    """

    def __init__(self, target: str, *, emulated: bool = False, **options: Any) -> None:
        self.target = target
        self.emulated = emulated
        if emulated:
            options = {**_embedded_cloud(options.get("region")), **options}
        self.provider: Provider = registry.load(target, options)

    def __repr__(self) -> str:
        return f"Deployer({self.target!r}{', emulated=True' if self.emulated else ''})"

    def plan(self, model: Model, name: str, *, strict: bool = False, **wish: Any) -> Plan:
        """What `deploy` with the same arguments would do. Changes nothing.

        Args:
            model: what should answer the requests.
            name: the deployment's name.
            strict: fail on what the target can't do, instead of telling it in the plan.
            wish: further fields of `Deployment`: ``compute``, ``autoscaling``, ``access``, ``env``, ...

        Raises:
            SpecError: a field is wrong, or can't be meant on this target.
            NotSupported: with `strict`, the target can't do what was asked.
            NameConflict: something of that name is there and isn't ours.
            CredentialsError: credentials, region or permissions are lacking.
        """
        return self.plan_deployment(Deployment(name=name, model=model, **wish), strict=strict)

    def deploy(
        self, model: Model, name: str, *, strict: bool = False, on_event: OnEvent | None = None, **wish: Any
    ) -> Endpoint:
        """Make it so: create or update what runs under `name`, and return its handle when it serves.

        What was there serves until the new release does. On failure everything is undone.
        Running it again after any interruption finishes the job; with nothing to do it does nothing.

        Args:
            on_event: called with each `Event` of the progress, from several threads.

        Raises:
            DeployFailed: it failed and was undone; LeftBehind lists what could not be undone.
            DeploymentLocked: another deploy of the name is under way.
            Timeout: the cloud took longer than ``timeout_s``.
            as for `plan`.
        """
        return self.deploy_deployment(
            Deployment(name=name, model=model, **wish), strict=strict, on_event=on_event
        )

    def plan_deployment(self, deployment: Deployment, *, strict: bool = False) -> Plan:
        """`plan` for a `Deployment` made beforehand."""
        return self._plan(deployment, self.provider.compile(deployment), strict=strict)

    def deploy_deployment(
        self, deployment: Deployment, *, strict: bool = False, on_event: OnEvent | None = None
    ) -> Endpoint:
        """`deploy` for a `Deployment` made beforehand."""
        self._carry_out(
            deployment.name,
            lambda graph: self._plan(deployment, graph, strict=strict),
            lambda: self.provider.compile(deployment),
            timeout_s=deployment.timeout_s,
            on_event=on_event,
            preflight=lambda: self.provider.preflight(deployment),
        )
        return self.endpoint(deployment.name)

    def rollback(self, name: str, release: str | None = None, *, on_event: OnEvent | None = None) -> Endpoint:
        """Serve a kept release again; None is the newest before the serving one. Builds nothing.

        Raises:
            NotFound: no such release is kept.
        """
        title = f"{check_name(name)}: back to {release or 'the release before'}"
        self._carry_out(
            name,
            lambda graph: make_plan(graph.resources, stale=graph.stale(), title=title),
            lambda: self.provider.restore(name, release),
            timeout_s=TIMEOUT_S,
            on_event=on_event,
        )
        return self.endpoint(name)

    def plan_removal(self, name: str) -> Plan:
        """What `delete` would remove. Changes nothing."""
        return self._removal_plan(name, self.provider.removal(check_name(name)))

    def delete(self, name: str, *, on_event: OnEvent | None = None) -> None:
        """Remove everything that belongs to `name`, left-overs of interrupted deploys included.

        Deleting what isn't there succeeds.

        Raises:
            LeftBehind: lists what could not be removed, with the command for each.
        """
        check_name(name)
        self._carry_out(
            name,
            lambda graph: self._removal_plan(name, graph),
            lambda: self.provider.removal(name),
            timeout_s=TIMEOUT_S,
            on_event=on_event,
            removal=True,
        )

    def package(self, model: Model, out: Path | str, *, compression: Compression = "auto") -> Path:
        """Write the artifact that `deploy` would upload to `out`, and return its path."""
        return self.provider.package(model, Path(out), compression=compression)

    def endpoint(self, name: str) -> Endpoint:
        """The handle of what runs under `name`.

        Raises:
            NotFound: nothing does.
        """
        from clouddeploy.endpoint import Endpoint

        return Endpoint(check_name(name), self)

    def list(self) -> list[Summary]:
        """Every deployment of ours on this target that the credentials can see, by name."""
        return sorted(self.provider.deployments(), key=lambda row: row.name)

    def _plan(self, deployment: Deployment, graph: Graph, *, strict: bool) -> Plan:
        findings = tuple(self.provider.check(deployment))
        impossible = [f for f in findings if f.support == "impossible"]
        if strict and impossible:
            raise NotSupported(
                f"target {self.target!r} can't do: {', '.join(f.field for f in impossible)}",
                why="; ".join(f.reason for f in impossible),
                fix="; ".join(f.mend for f in impossible),
            )
        return make_plan(
            graph.resources,
            stale=graph.stale(),
            title=f"{deployment.name} on {self.target}{' (embedded cloud)' if self.emulated else ''}",
            findings=findings,
            costs=tuple(self.provider.costs(deployment)),
            warnings=graph.warnings,
        )

    def _removal_plan(self, name: str, graph: Graph) -> Plan:
        return make_plan((), stale=graph.stale(), title=f"remove {name} from {self.target}")

    def _carry_out(
        self,
        name: str,
        prepare: Callable[[Graph], Plan],
        graph: Callable[[], Graph],
        *,
        timeout_s: float,
        on_event: OnEvent | None,
        preflight: Callable[[], Sequence[str]] = tuple,
        removal: bool = False,
    ) -> None:
        for _ in range(ATTEMPTS):
            found = graph()
            seen = found.lock.peek()
            plan = prepare(found)
            if not plan.changes and not removal:
                return
            for warning in preflight():
                if on_event:
                    on_event(Event("progress", "", "check", f"warning: {warning}"))
            try:
                found.lock.acquire(seen)
            except LockMoved:
                continue
            self._apply(name, found, plan, timeout_s=timeout_s, on_event=on_event, removal=removal)
            return
        raise DeploymentLocked(
            f"{name!r} is being changed by others without a pause",
            why=f"{ATTEMPTS} times somebody changed it between our plan and our first change",
            fix="wait until they are done, then run it again",
        )

    def _apply(
        self,
        name: str,
        graph: Graph,
        plan: Plan,
        *,
        timeout_s: float,
        on_event: OnEvent | None,
        removal: bool,
    ) -> None:
        try:
            apply(plan, emit=on_event, timeout_s=timeout_s)
        except BaseException as error:
            self._release_after(error, name, graph, plan)
            raise
        graph.lock.release(forget=removal)

    def _release_after(self, error: BaseException, name: str, graph: Graph, plan: Plan) -> None:
        """Give the lock back after a failure; what goes wrong here must not hide that failure."""
        try:
            graph.lock.release(forget=self._is_gone(error, name, plan))
        except CloudDeployError as second:
            error.add_note(f"the deployment's lock could not be given back: {second}")

    def _is_gone(self, error: BaseException, name: str, plan: Plan) -> bool:
        """Whether nothing of the deployment is left after a failed apply."""
        if not isinstance(error, DeployFailed | Timeout):
            return False
        if isinstance(error, DeployFailed) and (error.left or error.unrestored):
            return False
        if all(step.action is Action.CREATE for step in plan.steps):
            return True
        try:
            return self.provider.status(name).phase == "missing"
        except CloudDeployError:
            return False  # then the lock's traces stay, for the next run to remove


def _embedded_cloud(region: str | None) -> dict[str, Any]:
    """Options that point a provider at the embedded cloud, which is started when it isn't running."""
    try:
        from clouddeploy.emulator.connection import connect
    except ModuleNotFoundError as error:
        raise registry.missing("emulator", error) from error
    cloud = connect()
    return {
        "region": region or cloud.region,
        "endpoint_url": cloud.url,
        "access_key_id": cloud.access_key_id,
        "secret_access_key": cloud.secret_access_key,
    }
