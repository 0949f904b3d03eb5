"""What a wish would change of a stack, before anything is done ("DescribeChangeSet")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.cloudformation.kinds.table import kind_of
from clouddeploy.emulator.cloudformation.records import Stack, Wish
from clouddeploy.emulator.cloudformation.references import references

NO_UPDATES = "No updates are to be performed."
NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)


def changes(stack: Stack, wish: Wish) -> list[dict[str, Any]]:
    """API data type ResourceChange, for each resource; conditions count as true."""
    found = []
    before = stack.wish
    moved: set[str] = set()
    for name in wish.template.order:
        resource = wish.template.resources[name]
        part = stack.parts.get(name)
        if part is None or before is None or name not in before.template.resources:
            moved.add(name)
            found.append(_change("Add", name, resource["Type"], ""))
            continue
        old = before.template.resources[name]
        altered = {k for k in wish.parameters if wish.parameters[k] != before.parameters.get(k)}
        named = references(resource.get("Properties"))
        differs = {**resource, "DependsOn": None} != {**old, "DependsOn": None}
        if differs or named & (moved | altered):
            replacement = _replacement(resource, old)
            if replacement == "True":
                moved.add(name)
            found.append({
                **_change("Modify", name, resource["Type"], part.physical_id), "Replacement": replacement,
            })  # fmt: skip
    gone = [part for name, part in stack.parts.items() if name not in wish.template.resources]
    return found + [_change("Remove", p.logical_id, p.type, p.physical_id) for p in gone]


def same(stack: Stack, wish: Wish) -> bool:
    """Whether `wish` is what the stack already is."""
    before = stack.wish
    if before is None:
        return False
    return (wish.template.content, dict(wish.parameters), wish.tags) == (
        before.template.content,
        dict(before.parameters),
        before.tags,
    )


def _replacement(resource: Mapping[str, Any], old: Mapping[str, Any]) -> str:
    if resource["Type"] != old["Type"]:
        return "True"
    kind = kind_of(resource["Type"])
    now, then = resource.get("Properties") or {}, old.get("Properties") or {}
    replaced = kind is not None and any(now.get(k) != then.get(k) for k in kind.replaced_by)
    return "True" if replaced else "False"


def _change(action: str, name: str, kind: str, physical_id: str) -> dict[str, Any]:
    return {
        "Action": action,
        "LogicalResourceId": name,
        "PhysicalResourceId": physical_id or None,
        "ResourceType": kind,
    }
