"""Golden cases of the memory provider: a wish and what is observed, and the plan that follows.

Names that follow from a model's content are written as ``<A.release>``, ``<A.artifact>``,
``<A.digest>`` (the release's) and ``<A.bytes>`` (the artifact's), where A, B and C are models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clouddeploy.engine import Plan, make_plan, make_removal
from clouddeploy.model import Model
from clouddeploy.providers.memory import Memory
from clouddeploy.providers.memory.cloud import refused
from clouddeploy.spec import Autoscaling, Compute, Deployment

FOLDER = Path(__file__).parent / "memory"
NAME = "digits"


def deployment(wish: Mapping[str, Any], models: Mapping[str, Model]) -> Deployment:
    """The deployment that a case's wish describes."""
    return Deployment(
        name=NAME,
        model=models[wish["model"]],
        compute=Compute(**wish.get("compute", {})),
        autoscaling=Autoscaling(**wish.get("autoscaling", {})),
        keep_releases=wish.get("keep_releases", 1),
    )


def symbols(wish: Mapping[str, Any], models: Mapping[str, Model]) -> dict[str, str]:
    """What stands for which computed name, given the wish's settings."""
    found: dict[str, str] = {}
    for label in models:
        graph = Memory().compile(deployment({**wish, "model": label}, models))
        artifact, release = (resource.desired() for resource in graph.resources[:2])
        found[f"<{label}.bytes>"] = artifact["digest"]
        found[f"<{label}.digest>"] = release["digest"]
        found[f"<{label}.artifact>"] = release["artifact"]
        found[f"<{label}.release>"] = f"{NAME}-{release['digest'][:10]}"
    return found


def replaced(value: Any, table: Sequence[tuple[str, str]]) -> Any:
    """`value` with every text of `table` replaced by the other."""
    text = json.dumps(value)
    for old, new in table:
        text = text.replace(old, new)
    return json.loads(text)


class Observed:
    """A transport that answers reads from a list of objects, and refuses to change anything."""

    def __init__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self.objects = [
            {
                "status": "InService",
                "reason": "",
                "tags": {"clouddeploy:deployment": NAME},
                "served": 0,
                **row,
            }
            for row in objects
        ]

    def __call__(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "ListObjects":
            return [row for row in self.objects if row["tags"].get(params["tag"]) == params["value"]]
        assert operation.startswith("Describe"), f"a plan made the call {operation}"
        for row in self.objects:
            if (row["kind"], row["name"]) == (operation.removeprefix("Describe"), params["name"]):
                return row
        raise refused("NotFound", params["name"])


def plan_of(case: Mapping[str, Any], models: Mapping[str, Model]) -> Plan:
    """The plan for a case; with no wish, for the removal."""
    wish = case["wish"]
    table = sorted(symbols(wish or {"model": "A"}, models).items())
    provider = Memory(transport=Observed(replaced(case["observed"], table)))
    if wish is None:
        return make_removal(provider.removal(NAME).stale())
    graph = provider.compile(deployment(wish, models))
    return make_plan(graph.resources, stale=graph.stale())


def plain(plan: Plan, case: Mapping[str, Any], models: Mapping[str, Model]) -> dict[str, Any]:
    """The plan as the case's file writes it."""
    found = symbols(case["wish"] or {"model": "A"}, models)
    # Longest first: a digest begins with what a name ends with.
    back = sorted(((text, label) for label, text in found.items()), key=lambda row: -len(row[0]))
    shape = replaced(plan.to_dict(), back)
    steps = [
        {key: step[key] for key in ("action", "kind", "name", "reason", "changes")} for step in shape["steps"]
    ]
    return {"summary": shape["summary"], "steps": steps}
