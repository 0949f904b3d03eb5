"""One invocation of a version that was just published, so that a broken one never gets to serve."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from clouddeploy.engine import events
from clouddeploy.errors import DeployFailed, Throttled
from clouddeploy.providers.aws_lambda.event import http_event
from clouddeploy.providers.aws_lambda.site import Site

PATH = "/health"
FIXES = {
    "signal: killed": "it ran out of memory, most likely: set Compute.memory_mb higher, or send less at once",
    "Runtime.OutOfMemory": "set Compute.memory_mb higher, or send fewer examples",
    "timed out after": "set Compute.timeout_s higher, or Compute.memory_mb, with which processor power goes",
}
"""By what Lambda says of an invocation that it ended."""


def try_version(site: Site, version: str) -> None:
    """Ask `version` how it is, which loads the model.

    Raises:
        DeployFailed: it can't start; with its last log lines.
    """
    payload = json.dumps(http_event("GET", PATH)).encode()
    try:
        answer = site.call("Invoke", Qualifier=version, Payload=payload, LogType="Tail")
    except Throttled:
        # No verdict on the version: what serves takes all the concurrency that the function has.
        events.report(f"version {version} could not be tried: the function's concurrency is used up")
        return
    body = answer["Payload"].read()
    if answer.get("FunctionError"):
        raise _failed(site, version, reason_of(body), answer)
    status = _status(body)
    if status >= 500:
        raise _failed(site, version, f"it answers {status}: {body[:500].decode(errors='replace')}", answer)


def _failed(site: Site, version: str, reason: str, answer: Mapping[str, Any]) -> DeployFailed:
    return DeployFailed(
        f"the new version {version} of function {site.name!r} can't start",
        why=reason,
        fix=fix_for(reason, "mend what the reason and the log lines name, then deploy again"),
        log_tail=log_lines(answer),
    )


def reason_of(body: bytes) -> str:
    """What a function's error tells (Developer Guide, "Lambda function handler errors in Python")."""
    try:
        found = json.loads(body)
        kind, message = found.get("errorType"), found.get("errorMessage")
    except (ValueError, AttributeError):
        return body[:500].decode(errors="replace")
    return f"{kind}: {message}" if kind else str(message)


def fix_for(reason: str, otherwise: str) -> str:
    """What to do about an invocation that ended so ("Troubleshoot execution issues", Developer Guide)."""
    for words, fix in FIXES.items():
        if words in reason:
            return fix
    return otherwise


def log_lines(answer: Mapping[str, Any], limit: int = 20) -> tuple[str, ...]:
    """The last lines that Lambda sends along with an answer (``LogResult``: 4 KB at the most)."""
    text = b64decode(answer.get("LogResult") or "").decode(errors="replace")
    return tuple(line for line in text.splitlines() if line.strip())[-limit:]


def _status(body: bytes) -> int:
    try:
        return int(json.loads(body)["statusCode"])
    except (ValueError, KeyError, TypeError):
        return 0
