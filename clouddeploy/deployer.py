"""`Deployer`: the front door. Plans, deploys, lists and deletes on one target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy import registry
from clouddeploy.engine.plan import Plan, make_plan
from clouddeploy.errors import NotSupported, PlanOutdated, SpecError
from clouddeploy.prepared import OnEvent, Prepared, peek
from clouddeploy.spec import (
    Architecture,
    Autoscaling,
    Compression,
    Deployment,
    Summary,
    check_name,
    check_shares,
)

if TYPE_CHECKING:
    from clouddeploy.endpoint import Endpoint
    from clouddeploy.model import Model
    from clouddeploy.providers import Graph, Provider

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
            options = {**_embedded_cloud(target, options.get("region")), **options}
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
        return self.prepare(deployment, strict=strict).plan

    def deploy_deployment(
        self, deployment: Deployment, *, strict: bool = False, on_event: OnEvent | None = None
    ) -> Endpoint:
        """`deploy` for a `Deployment` made beforehand."""
        self._carry_out(lambda: self.prepare(deployment, strict=strict), on_event)
        return self.endpoint(deployment.name)

    def prepare(self, deployment: Deployment, *, strict: bool = False) -> Prepared:
        """A deploy in two steps: its ``plan`` to look at, then ``apply()`` to do exactly that.

        Raises:
            as for `plan`.
        """
        graph = self.provider.compile(deployment)
        seen = peek(graph)
        return Prepared(
            deployment.name,
            self._plan(deployment, graph, strict=strict),
            graph,
            seen,
            self.provider,
            deployment.timeout_s,
            preflight=lambda: self.provider.preflight(deployment),
        )

    def rollback(self, name: str, release: str | None = None, *, on_event: OnEvent | None = None) -> Endpoint:
        """Serve a kept release again; None is the newest before the serving one. Builds nothing.

        Raises:
            NotFound: no such release is kept.
            SpecError: none is named while several share the requests.
        """
        self._carry_out(lambda: self._prepare_rollback(check_name(name), release), on_event)
        return self.endpoint(name)

    def split(self, name: str, shares: Mapping[str, int], *, on_event: OnEvent | None = None) -> Endpoint:
        """Give each kept release its percent of the requests. Builds nothing.

        Args:
            name: the deployment.
            shares: percents by release digest, or its start; they add up to 100.

        Raises:
            SpecError: they don't.
            NotFound: no such release is kept, or nothing runs under that name.
            NotSupported: the target can't split so.
        """
        wanted = check_shares(shares)

        def prepare() -> Prepared:
            graph = self.provider.split(check_name(name), wanted)
            told = ", ".join(f"{release[:10]} {percent} %" for release, percent in wanted.items())
            return self._prepared(name, graph, f"{name}: {told}")

        self._carry_out(prepare, on_event)
        return self.endpoint(name)

    def scale(self, name: str, autoscaling: Autoscaling, *, on_event: OnEvent | None = None) -> Endpoint:
        """Change how many copies of what runs there are, and nothing else.

        The next deploy sets them as its own wish says.

        Raises:
            NotFound: nothing runs under that name.
            SpecError, NotSupported: the target can't hold that policy.
        """
        if not isinstance(autoscaling, Autoscaling):
            raise SpecError(
                f"autoscaling is {autoscaling!r}",
                why="allowed: Autoscaling",
                fix="write Autoscaling(min=2, max=2)",
            )

        def prepare() -> Prepared:
            graph = self.provider.rescale(check_name(name), autoscaling)
            return self._prepared(name, graph, f"{name}: {autoscaling.min} to {autoscaling.max} copies")

        self._carry_out(prepare, on_event)
        return self.endpoint(name)

    def plan_removal(self, name: str) -> Plan:
        """What `delete` would remove. Changes nothing."""
        return self.prepare_removal(name).plan

    def delete(self, name: str, *, on_event: OnEvent | None = None) -> None:
        """Remove everything that belongs to `name`, left-overs of interrupted deploys included.

        Deleting what isn't there succeeds.

        Raises:
            LeftBehind: lists what could not be removed, with the command for each.
        """
        self._carry_out(lambda: self.prepare_removal(name), on_event)

    def prepare_removal(self, name: str) -> Prepared:
        """A removal in two steps: its ``plan`` to look at, then ``apply()`` to do exactly that."""
        graph = self.provider.removal(check_name(name))
        seen = peek(graph)
        plan = make_plan((), stale=graph.stale(), title=f"remove {name} from {self._where}")
        return Prepared(name, plan, graph, seen, self.provider, TIMEOUT_S, removal=True)

    def package(
        self,
        model: Model,
        out: Path | str,
        *,
        compression: Compression = "auto",
        architecture: Architecture = "x86_64",
    ) -> Path:
        """Write the artifact that `deploy` would upload to `out`, and return its path.

        Args:
            model: what to pack.
            out: the file or folder to write.
            compression: as in `Deployment`.
            architecture: as in `Compute`; it matters where compiled packages are packed.
        """
        return self.provider.package(model, Path(out), compression=compression, architecture=architecture)

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

    @property
    def _where(self) -> str:
        return f"{self.target}{' (embedded cloud)' if self.emulated else ''}"

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
            title=f"{deployment.name} on {self._where}",
            findings=findings,
            costs=tuple(self.provider.costs(deployment)),
            warnings=graph.warnings,
        )

    def _prepare_rollback(self, name: str, release: str | None) -> Prepared:
        if release is None:
            self._refuse_choice(name, self.provider.traffic(name))
        graph = self.provider.restore(name, release)
        return self._prepared(name, graph, f"{name}: back to {release or 'the release before'}")

    @staticmethod
    def _refuse_choice(name: str, traffic: Mapping[str, int]) -> None:
        """Refuse to guess which of several that serve is the one before: it could be the canary itself."""
        sharing = {release: percent for release, percent in traffic.items() if percent}
        if len(sharing) < 2:
            return
        told = ", ".join(f"{release[:10]} {percent} %" for release, percent in sharing.items())
        most = max(sharing, key=lambda release: sharing[release])
        raise SpecError(
            f"{name!r} has several releases in service: {told}",
            why="a rollback without a name goes to the release before the one that serves",
            fix=f"name the one to go back to, such as: clouddeploy rollback {name} --to {most[:10]}",
        )

    def _prepared(self, name: str, graph: Graph, title: str) -> Prepared:
        seen = peek(graph)
        plan = make_plan(graph.resources, stale=graph.stale(), title=title)
        return Prepared(name, plan, graph, seen, self.provider, TIMEOUT_S)

    def _carry_out(self, prepare: Callable[[], Prepared], on_event: OnEvent | None) -> None:
        """Prepare and apply; anew when another deploy came in between, but not for ever."""
        for _ in range(ATTEMPTS - 1):
            try:
                return prepare().apply(on_event=on_event)
            except PlanOutdated:
                continue
        return prepare().apply(on_event=on_event)


def _embedded_cloud(target: str, region: str | None) -> Mapping[str, Any]:
    """Options that point a provider at the embedded cloud, which is started when it isn't running."""
    kind = registry.kind_of(target)
    try:
        from clouddeploy.emulator.connection import connect
    except ModuleNotFoundError as error:
        raise registry.missing("emulator", error) from error
    return kind.embedded(connect(), region)
