"""The tags by which resources are known to be a deployment's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clouddeploy.errors import NameConflict

DEPLOYMENT = "clouddeploy:deployment"
RELEASE = "clouddeploy:release"
DIGEST = "clouddeploy:digest"


def make_tags(user: Mapping[str, str], name: str, *, release: str = "", digest: str = "") -> dict[str, str]:
    """The tags that a resource of deployment `name` carries, the user's own included."""
    ours = {DEPLOYMENT: name, RELEASE: release, DIGEST: digest}
    return {**user, **{k: v for k, v in ours.items() if v}}


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As most AWS APIs take them, sorted."""
    return [{"Key": k, "Value": v} for k, v in sorted(tags.items())]


def as_map(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """From what most AWS APIs answer; the ``aws:`` tags that AWS itself adds left out."""
    return {t["Key"]: t["Value"] for t in tags or () if not t["Key"].startswith("aws:")}


def is_ours(tags: Mapping[str, str], name: str) -> bool:
    """Whether a resource with `tags` is deployment `name`'s."""
    return tags.get(DEPLOYMENT) == name


def conflict(kind: str, physical: str, tags: Mapping[str, str], name: str, fix: str) -> NameConflict:
    """The error for a resource of our name that isn't ours."""
    owner = tags.get(DEPLOYMENT)
    return NameConflict(
        f"{kind} {physical!r} exists and isn't this deployment's",
        why=f"it belongs to deployment {owner!r}" if owner else f"it has no tag {DEPLOYMENT}={name}",
        fix=fix,
    )
