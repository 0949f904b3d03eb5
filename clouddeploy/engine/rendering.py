"""A plan as plain text for people, and as JSON values for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from clouddeploy.engine.finding import Cost
from clouddeploy.engine.plan import Action, Plan, Step

SIGNS = {Action.CREATE: "+", Action.UPDATE: "~", Action.REPLACE: "-/+", Action.DELETE: "-", Action.KEEP: "="}
WORDS = {
    Action.CREATE: "to create",
    Action.UPDATE: "to update",
    Action.REPLACE: "to replace",
    Action.DELETE: "to delete",
    Action.KEEP: "unchanged",
}
VALUE_LIMIT = 60
HIDDEN = "(hidden)"
NAME_LIMIT = 48


def plan_text(plan: Plan) -> str:
    """The plan as plain text: a line for each resource, its changed fields below, a summary last."""
    lines = [plan.title] if plan.title else []
    signs = max((len(SIGNS[step.action]) for step in plan.steps), default=1)
    kinds = max((len(step.resource.kind) for step in plan.steps), default=0)
    names = max((min(len(step.name), NAME_LIMIT) for step in plan.steps), default=0)
    for step in plan.steps:
        sign, kind = f"{SIGNS[step.action]:<{signs}}", f"{step.resource.kind:<{kinds}}"
        row = f"  {sign} {kind}  {short(step.name, NAME_LIMIT):<{names}}  {remark(step)}"
        lines.append(row.rstrip())
        if step.action in (Action.UPDATE, Action.REPLACE):
            lines += [f"{' ' * (signs + 5)}{text}" for text in change_lines(step)]
    lines += remarks(plan)
    return "\n".join([*lines, summary(plan)])


def remarks(plan: Plan) -> list[str]:
    """What stands below the steps: warnings, what the target can't do exactly, and what it costs."""
    notes = [f"note: {finding}" for finding in plan.findings if finding.support != "exact"]
    return [*(f"warning: {text}" for text in plan.warnings), *notes, *cost_lines(plan)]


def change_lines(step: Step) -> list[str]:
    """``field: now -> then`` for each field that changes, long values shortened."""
    return [f"{field}: {value_text(now)} -> {value_text(then)}" for field, (now, then) in shown(step).items()]


def shown(step: Step) -> dict[str, tuple[Any, Any]]:
    """The step's changes, the values of secret fields hidden; of a secret mapping its keys stay."""
    secret: frozenset[str] = getattr(step.resource, "secret", frozenset())
    return {
        field: (_hidden(now), _hidden(then)) if field in secret else (now, then)
        for field, (now, then) in step.changes.items()
    }


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict.fromkeys(value, HIDDEN)
    return None if value is None else HIDDEN


def remark(step: Step) -> str:
    """What stands behind a resource's name; nothing where the sign says it all."""
    return "" if step.action in (Action.CREATE, Action.UPDATE) else step.reason


def cost_lines(plan: Plan) -> list[str]:
    """What it costs, one line each, and the sum where there are several prices."""
    lines = [_cost_line(plan, cost) for cost in plan.costs]
    priced = [cost.usd_per_hour for cost in plan.costs if cost.usd_per_hour is not None]
    if len(priced) > 1:
        lines.append(f"cost: {_money(sum(priced))} per hour in all")
    return lines


def _cost_line(plan: Plan, cost: Cost) -> str:
    step = next((step for step in plan.steps if step.key == cost.resource), None)
    thing = f"{step.resource.kind} {step.name}" if step else cost.resource
    price = f"{_money(cost.usd_per_hour)} per hour for {thing}" if cost.usd_per_hour is not None else thing
    return f"cost: {price} ({cost.basis})" if cost.basis else f"cost: {price}"


def _money(usd: float) -> str:
    cents = f"{usd:.2f}"
    return f"${cents}" if float(cents) == usd else f"${usd:.6f}".rstrip("0")


def summary(plan: Plan) -> str:
    """One line: how many of each, or why there is nothing to do."""
    if not plan.steps:
        return "nothing to do: nothing is there"
    if not plan.changes:
        many = f"all {len(plan.steps)} resources are" if len(plan.steps) > 1 else "the one resource is"
        return f"nothing to do: {many} as asked"
    counts = plan.counts()
    return ", ".join(f"{counts[action]} {word}" for action, word in WORDS.items() if counts[action])


def value_text(value: Any) -> str:
    """One value, short enough for a line; plain text stands without quotes."""
    if value is None:
        return "(none)"
    plain = plain_value(value)
    if isinstance(plain, str):
        return short(plain, VALUE_LIMIT) if plain else '""'
    import json

    return short(json.dumps(plain, sort_keys=True, ensure_ascii=False), VALUE_LIMIT)


def short(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters, its middle left out where it is longer."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def plain_value(value: Any) -> Any:
    """`value` as JSON can hold it; sets sorted, anything unknown as its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted((plain_value(item) for item in value), key=str)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain_value(item) for item in value]
    return str(value)


def plan_dict(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON values; `Plan.to_dict` documents the shape."""
    return {
        "title": plan.title,
        "changes": plan.changes,
        "summary": summary(plan),
        "counts": plan.counts(),
        "steps": [_step_dict(step) for step in plan.steps],
        "findings": [
            {"field": f.field, "support": f.support, "reason": f.reason, "mend": f.mend}
            for f in plan.findings
        ],
        "costs": [
            {"resource": c.resource, "usd_per_hour": c.usd_per_hour, "basis": c.basis} for c in plan.costs
        ],
        "warnings": list(plan.warnings),
    }


def _step_dict(step: Step) -> dict[str, Any]:
    return {
        "action": str(step.action),
        "kind": step.resource.kind,
        "key": step.key,
        "name": step.name,
        "reason": step.reason,
        "needs": list(step.resource.needs),
        "changes": {
            field: {"now": plain_value(now), "then": plain_value(then)}
            for field, (now, then) in shown(step).items()
        },
    }
