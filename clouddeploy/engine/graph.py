"""The order of resources: what must exist before what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from clouddeploy.engine.resource import Resource


def in_order(resources: Sequence[Resource], *, closed: bool = True) -> list[Resource]:
    """`resources` so that each comes after what it needs; otherwise as they were given.

    Args:
        resources: one graph.
        closed: every need must be in the graph. When False, needs outside of it are ignored: of a
            set of stale things, some that they need may already be gone.

    Raises:
        ValueError: two have one key, a need is unknown, or they need each other in a circle.
    """
    by_key = {r.key: r for r in resources}
    if len(by_key) < len(resources):
        keys = [r.key for r in resources]
        twice = sorted({k for k in keys if keys.count(k) > 1})
        raise ValueError(f"two resources have the key {twice[0]!r}")
    unknown = [(r.key, n) for r in resources for n in r.needs if n not in by_key]
    if closed and unknown:
        raise ValueError(f"resource {unknown[0][0]!r} needs {unknown[0][1]!r}, which is not in the graph")
    edges = {r.key: [n for n in r.needs if n in by_key] for r in resources}
    try:
        return [by_key[key] for key in TopologicalSorter(edges).static_order()]
    except CycleError as error:
        raise ValueError(f"resources need each other in a circle: {' -> '.join(error.args[1])}") from error


def users(resources: Iterable[Resource]) -> dict[str, frozenset[str]]:
    """For each resource's key, the keys of those that need it."""
    found: dict[str, set[str]] = {}
    for resource in resources:
        found.setdefault(resource.key, set())
        for need in resource.needs:
            found.setdefault(need, set()).add(resource.key)
    return {key: frozenset(keys) for key, keys in found.items()}


def reach(start: str, needs: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Everything that `start` needs, directly or not; without `start`."""
    found: set[str] = set()
    todo = list(needs.get(start, ()))
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo += needs.get(key, ())
    return frozenset(found)
