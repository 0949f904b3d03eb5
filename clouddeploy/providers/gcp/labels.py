"""The labels by which resources are known to be a deployment's.

Keys and values have at most 63 characters of ``[a-z0-9_-]``; a key begins with a letter (Resource Manager
documentation, "Creating and managing labels").
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from clouddeploy.errors import NameConflict, SpecError

DEPLOYMENT: Final = "clouddeploy-deployment"
RELEASE: Final = "clouddeploy-release"
DIGEST: Final = "clouddeploy-digest"
BUCKET: Final = "clouddeploy-bucket"
RELEASE_VARIABLE: Final = "CLOUDDEPLOY_RELEASE"
"""In every revision's environment: which release it is."""
PROJECT_VARIABLE: Final = "GOOGLE_CLOUD_PROJECT"
"""Which project it is, as Google's libraries read it; Cloud Run tells it by the metadata server alone."""
LIMIT: Final = 63
MOST: Final = 64
"""Labels on one resource (same page)."""
_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def make_labels(user: Mapping[str, str], name: str, *, release: str = "", digest: str = "") -> dict[str, str]:
    """The labels that a resource of deployment `name` carries, the user's own included."""
    ours = {DEPLOYMENT: value_of(name), RELEASE: value_of(release), DIGEST: value_of(digest)}
    return {**user, **{k: v for k, v in ours.items() if v}}


def with_project(env: Mapping[str, str], secrets: Mapping[str, str], project: str) -> dict[str, str]:
    """`env` with `PROJECT_VARIABLE`, unless it or a secret says another; saves each start a request."""
    return {**env} if PROJECT_VARIABLE in secrets else {PROJECT_VARIABLE: project, **env}


def value_of(text: str) -> str:
    """`text` as a label's value: as it is where that is allowed, else cut, mended and made unique."""
    if _VALUE.fullmatch(text):
        return text
    mended = re.sub(r"[^a-z0-9_-]", "-", text.lower())
    return f"{mended[: LIMIT - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def check_labels(user: Mapping[str, str]) -> None:
    """Refuse the user's labels (the deployment's tags) where Google would.

    Raises:
        SpecError: names the label and the rule.
    """
    for key, value in user.items():
        if not _KEY.fullmatch(key):
            raise _refused(f"the label key {key!r}", "1 to 63 of a-z, 0-9, _ and -, beginning with a letter")
        if not _VALUE.fullmatch(value):
            raise _refused(f"the value {value!r} of the label {key!r}", "up to 63 of a-z, 0-9, _ and -")
    if len(user) > MOST - 3:
        raise _refused(f"the number of labels, {len(user)},", f"{MOST}, three of which are clouddeploy's own")


def is_ours(labels: Mapping[str, str] | None, name: str) -> bool:
    """Whether a resource with `labels` is deployment `name`'s."""
    return (labels or {}).get(DEPLOYMENT) == value_of(name)


def conflict(kind: str, physical: str, labels: Mapping[str, str] | None, name: str, fix: str) -> NameConflict:
    """The error for a resource of our name that isn't ours."""
    owner = (labels or {}).get(DEPLOYMENT)
    lacking = f"it has no label {DEPLOYMENT}={value_of(name)}"
    return NameConflict(
        f"{kind} {physical!r} exists and isn't this deployment's",
        why=f"it belongs to deployment {owner!r}" if owner else lacking,
        fix=fix,
    )


def _refused(what: str, rule: str) -> SpecError:
    return SpecError(
        f"{what} isn't allowed on Google Cloud", why=f"allowed: {rule}", fix="change it in tags={...}"
    )
