"""What each of a deployment's objects is called. Names follow from the wish and are never passed around."""

from __future__ import annotations

import re

ALIAS = "live"
"""The alias that callers use; it points to the version that serves."""
DIGITS = 10
"""Hex digits of a release."""
ARTIFACT_DIGITS = 32
ARCHIVE = "function.zip"
PREFIX = "_lambda/"
"""No deployment's name starts so, and what lies under it is no other target's."""
HANDLER = "lambda_handler.handler"
_MARK = re.compile(rf"clouddeploy ([0-9a-f]{{{DIGITS}}})(?: ([0-9a-f]{{{ARTIFACT_DIGITS}}}))?")


def prefix(name: str) -> str:
    """Where everything of a deployment lies in the bucket, with the closing slash."""
    return f"{PREFIX}{name}/"


def code_prefix(name: str, digest: str) -> str:
    """Where one artifact lies, with the closing slash."""
    return f"{prefix(name)}{digest[:ARTIFACT_DIGITS]}/"


def code_key(name: str, digest: str) -> str:
    """The zip's key."""
    return code_prefix(name, digest) + ARCHIVE


def description(release: str, digest: str) -> str:
    """What a version of ours is described as; `digest` is its artifact's, empty for an image."""
    return f"clouddeploy {release} {digest[:ARTIFACT_DIGITS]}".rstrip()


def parts_of(text: str) -> tuple[str, str]:
    """Release and artifact in a version's description; empty when it isn't one of ours."""
    found = _MARK.fullmatch(text)
    return (found[1], found[2] or "") if found else ("", "")


def log_group(name: str) -> str:
    """Where Lambda writes a function's logs (Developer Guide, "Sending logs to CloudWatch Logs")."""
    return f"/aws/lambda/{name}"


def api(name: str) -> str:
    """The HTTP API in front of a function; such names needn't be unique, and its tags tell whose it is."""
    return f"clouddeploy-{name}"


def alarm_prefix(name: str) -> str:
    """What the names of `name`'s alarms start with."""
    return f"clouddeploy-fn-{name}-"


def alarm(name: str, metric: str) -> str:
    """The alarm on one metric."""
    return f"{alarm_prefix(name)}{metric.replace('_', '-')}"


def policy(name: str) -> str:
    """The one scaling policy of a deployment."""
    return f"clouddeploy-fn-{name}"
