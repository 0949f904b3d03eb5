"""A revision of a Cloud Run service as its API tells it, and which release it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clouddeploy.providers.gcp.labels import DIGEST, RELEASE_VARIABLE


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision.

    Args:
        name: its id, without the service's path.
        release: the release that it is; empty when it isn't one of ours.
        digest: of its artifact, by its label; may be empty.
        created: when it was made, as the API writes times.
        ready: whether it can serve; None while that is not known yet.
        reason: why it can't.
        shape: all that the API tells.
    """

    name: str
    release: str
    digest: str
    created: str
    ready: bool | None
    reason: str
    shape: Mapping[str, Any]


def parse_revision(shape: Mapping[str, Any]) -> Revision:
    """From the API's JSON (Cloud Run v2, Revision)."""
    conditions: Sequence[Mapping[str, Any]] = shape.get("conditions") or ()
    condition = next((c for c in conditions if c.get("type") == "Ready"), {})
    state = condition.get("state")
    ready = {"CONDITION_SUCCEEDED": True, "CONDITION_FAILED": False}.get(str(state))
    return Revision(
        short(str(shape.get("name", ""))),
        release_of(shape),
        str((shape.get("labels") or {}).get(DIGEST, "")),
        str(shape.get("createTime", "")),
        ready,
        str(condition.get("message") or condition.get("revisionReason") or condition.get("reason") or ""),
        shape,
    )


def release_of(shape: Mapping[str, Any]) -> str:
    """The release that a revision, or a service's template, carries; empty for none."""
    return environment_of(shape).get(RELEASE_VARIABLE, "")


def environment_of(shape: Mapping[str, Any]) -> dict[str, str]:
    """The plain variables of the first container of a revision or a template."""
    containers: Sequence[Mapping[str, Any]] = shape.get("containers") or ({},)
    return {e["name"]: str(e.get("value", "")) for e in containers[0].get("env") or () if "name" in e}


def short(name: str) -> str:
    """The last part of a resource's full name."""
    return name.rpartition("/")[2]
