"""The plan: what is, compared with what should be, as ordered steps. Making one changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from clouddeploy.engine.finding import Cost, Finding
from clouddeploy.engine.graph import in_order
from clouddeploy.engine.resource import Resource, State, differences
from clouddeploy.engine.threads import spread

ON_REQUEST = "to be removed"


class Action(StrEnum):
    """What a step does to its resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with one resource, and why.

    Args:
        action: what is to be done.
        resource: with which object.
        actual: its state when the plan was made; None when it wasn't there or wasn't read.
        wish: the state it should have; None for a delete.
        reason: why, in a few words.
    """

    action: Action
    resource: Resource
    actual: State | None = None
    wish: State | None = None
    reason: str = ""

    @property
    def key(self) -> str:
        """The resource's key."""
        return self.resource.key

    @property
    def name(self) -> str:
        """The resource's own name: its key without the kind in front."""
        return self.key.partition("/")[2] or self.key

    @property
    def changes(self) -> dict[str, tuple[Any, Any]]:
        """The fields that change, as ``field: (now, then)``; empty for a keep or a delete."""
        if self.wish is None or self.action in (Action.KEEP, Action.DELETE):
            return {}
        return differences(self.actual or {}, self.wish)


@dataclass(frozen=True, repr=False)
class Plan:
    """Ordered steps, and what else there is to know before they are taken.

    Prints as plain text, draws itself in a notebook, and turns into JSON by `to_dict`.

    Args:
        steps: creates, updates and keeps so that each comes after what it needs; then the deletes,
            so that each comes before what it needed.
        title: what the plan is for, such as ``digits on sagemaker (eu-west-1), release 3f9c2a7b``.
        findings: what the target makes of the wish.
        costs: what the resources cost.
        warnings: what the user should look at, such as a secret among the files.
    """

    steps: tuple[Step, ...]
    title: str = ""
    findings: tuple[Finding, ...] = ()
    costs: tuple[Cost, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return any(step.action is not Action.KEEP for step in self.steps)

    def counts(self) -> dict[str, int]:
        """How many steps of each action, all five named, such as ``{"create": 2, …, "keep": 1}``."""
        return {str(action): sum(step.action is action for step in self.steps) for action in Action}

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values, as ``--json`` prints it. This shape is stable.

        ::

            {"title": str,
             "changes": bool,                          # whether there is anything to do
             "summary": str,                           # one line for people
             "counts": {"create": int, "update": int, "replace": int, "delete": int, "keep": int},
             "steps": [{"action": "create" | "update" | "replace" | "delete" | "keep",
                        "kind": str, "key": str, "name": str, "reason": str, "needs": [key, …],
                        "changes": {field: {"now": value | null, "then": value | null}}}],
             "findings": [{"field", "support": "exact" | "approximated" | "impossible", "reason", "mend"}],
             "costs": [{"resource": key, "usd_per_hour": float | null, "basis": str}],
             "warnings": [str]}
        """
        from clouddeploy.engine.rendering import plan_dict

        return plan_dict(self)

    def __repr__(self) -> str:
        from clouddeploy.engine.rendering import summary

        return f"Plan({self.title!r}: {summary(self)})"

    def __str__(self) -> str:
        from clouddeploy.engine.rendering import plan_text

        return plan_text(self)

    def _repr_html_(self) -> str:
        from clouddeploy.engine.html import plan_html

        return plan_html(self)


def make_plan(
    resources: Sequence[Resource],
    *,
    stale: Sequence[Resource] = (),
    title: str = "",
    findings: Sequence[Finding] = (),
    costs: Sequence[Cost] = (),
    warnings: Sequence[str] = (),
    workers: int = 8,
) -> Plan:
    """Read every resource, several at once, and say what must happen. Changes nothing.

    Args:
        resources: what should be.
        stale: what is there and should not be; deleted last. One whose key is also among
            `resources` is left alone: what is wished for is never stale.
        title: what the plan is for.
        findings: what the target makes of the wish.
        costs: what the resources cost.
        warnings: what the user should look at.
        workers: reads at the same time, at most.

    Raises:
        NameConflict: something of that name isn't this deployment's.
        ValueError: the graph isn't one (see `in_order`).
    """
    ordered = in_order(resources)
    steps = spread(_observe, ordered, workers=workers)
    wished = {resource.key for resource in ordered}
    gone = [resource for resource in stale if resource.key not in wished]
    steps += _deletes(gone, "no longer needed" if ordered else ON_REQUEST)
    return Plan(tuple(steps), title, tuple(findings), tuple(costs), tuple(warnings))


def make_removal(stale: Sequence[Resource], *, title: str = "") -> Plan:
    """The plan that deletes everything in `stale`, each before what it needed. Makes no call."""
    return Plan(tuple(_deletes(stale, ON_REQUEST)), title)


def _observe(resource: Resource) -> Step:
    actual, wish = resource.read(), resource.desired()
    if actual is None:
        return Step(Action.CREATE, resource, None, wish, "not there yet")
    changed = differences(actual, wish)
    if not changed:
        return Step(Action.KEEP, resource, actual, wish, "unchanged")
    fixed = sorted(resource.immutable & changed.keys())
    if fixed:
        return Step(Action.REPLACE, resource, actual, wish, f"{_listed(fixed)} can't change in place")
    return Step(Action.UPDATE, resource, actual, wish, f"{_listed(sorted(changed))} changed")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _deletes(stale: Sequence[Resource], reason: str) -> list[Step]:
    ordered = in_order(stale, closed=False)
    return [Step(Action.DELETE, r, reason=reason) for r in reversed(ordered)]
