"""Waiting for Cloud Functions' operations, and what is told of one that fails.

Cloud Functions v2, ``OperationMetadata``: an operation has stages (ARTIFACT_REGISTRY, BUILD, SERVICE, …),
each with a state and messages; a build is Cloud Build's, and its log is in Cloud Logging.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clouddeploy.engine import events
from clouddeploy.engine.waiting import wait_until
from clouddeploy.errors import CloudDeployError, CloudError, DeployFailed, Throttled
from clouddeploy.providers.cloud_functions.site import Site
from clouddeploy.providers.gcp.faults import MISSING, is_passing, matches
from clouddeploy.providers.gcp.logs import build_lines, last_lines
from clouddeploy.providers.gcp.run.failure import cannot_serve
from clouddeploy.providers.gcp.run.operation import FACTOR, MOST_S, failed

STAGES = {
    "ARTIFACT_REGISTRY": "preparing the repository",
    "BUILD": "building",
    "SERVICE": "starting the new revision",
    "TRIGGER": "making the trigger",
    "SERVICE_ROLLBACK": "putting the service back",
    "TRIGGER_ROLLBACK": "putting the trigger back",
}
CHANGING = frozenset({"DEPLOYING", "DELETING"})
_BUILD = re.compile(r"builds(?:;region=[\w-]+)?/([\w-]{8,})")
_REVISION = re.compile(r"[Rr]evision '?([a-z][a-z0-9-]*-\d{5}-[a-z0-9]{3})'?")
_STEP = re.compile(r'^(?:Step #\d+(?: - "[^"]*")?: ?)?')
"""What Cloud Build puts before each line."""
_WRONG = (
    re.compile(r"^\s*(?:Sorry: )?\w*(?:SyntaxError|IndentationError|TabError)\b.*"),
    re.compile(r"^.*\bmissing main\.py\b.*", re.I),
    re.compile(r"^\s*ERROR: .*(?:requirement|distribution|conflict|install|wheel).*"),
    re.compile(r"^\s*\w+(?:Error|Exception): .*"),
    re.compile(r"^\s*ERROR: (?!failed to build|build step).*"),
)
"""Lines that say what is wrong, the most telling kind first."""
_PLACE = re.compile(r'File "[^"]+", line \d+')


def ended(site: Site, begun: Mapping[str, Any], *, what: str) -> dict[str, Any] | None:
    """The Function that an operation ends with; None when the operation is no longer known.

    Raises:
        DeployFailed: the build failed, or the new revision can't serve; with the last lines of its log.
        CloudError: it failed otherwise.
        Timeout: it took too long; running it again goes on waiting.
    """
    told = ""

    def tell(operation: Mapping[str, Any]) -> None:
        nonlocal told
        text = progress(operation.get("metadata") or {})
        if text and text != told:
            told = text
            events.report(text)

    def look() -> dict[str, Any] | None:
        operation = _patient(site, str(begun["name"]))
        if operation is None:
            return None
        tell(operation)
        return operation if operation.get("done") else None

    done = dict(begun) if begun.get("done") else wait(site, look, what)
    if done.get("error"):
        raise failure(site, done, what)
    return dict(done["response"]) if done.get("response") else None


def _patient(site: Site, name: str) -> dict[str, Any] | None:
    """The operation; None where one look failed in passing. One that is gone counts as done."""
    try:
        return site.gcp("operations", "GetOperation", name=name, of="functions")
    except CloudDeployError as error:
        if matches(error, MISSING):
            return {"done": True}
        if not is_passing_error(error):
            raise
        return None


def is_passing_error(error: CloudDeployError) -> bool:
    """Whether one of our errors tells of a fault that passes."""
    cause = error.__cause__
    return isinstance(error, Throttled) or (cause is not None and is_passing(cause))


def wait(site: Site, look: Any, what: str) -> Any:
    """Look until something is found, with growing pauses."""
    most_s = max(site.poll_s, MOST_S)
    return wait_until(
        look, what=what, timeout_s=site.timeout_s, first_s=site.poll_s, factor=FACTOR, most_s=most_s
    )


def settled(site: Site) -> dict[str, Any] | None:
    """The function once nothing of it is under way, whoever began that; None when it is gone."""

    def look() -> tuple[dict[str, Any] | None] | None:
        try:
            found = site.find()
        except CloudDeployError as error:
            if not is_passing_error(error):
                raise
            return None
        return None if found and found.get("state") in CHANGING else (found,)

    found: dict[str, Any] | None = wait(site, look, f"function {site.name} to be out of its change")[0]
    return found


def progress(metadata: Mapping[str, Any]) -> str:
    """What an operation is at, in words; empty when it doesn't tell."""
    stages = metadata.get("stages") or ()
    for stage in stages:
        if stage.get("state") == "IN_PROGRESS":
            name = str(stage.get("name", ""))
            number = f" ({1 + list(stages).index(stage)} of {len(stages)})"
            where = f", see {stage['resourceUri']}" if stage.get("resourceUri") else ""
            return f"{STAGES.get(name, name.lower())}{number}{where}"
    return ""


def failure(site: Site, operation: Mapping[str, Any], what: str) -> CloudDeployError:
    """The error for an operation that failed."""
    error, metadata = operation["error"], operation.get("metadata") or {}
    message = str(error.get("message") or "")
    build = build_of(metadata, message)
    if not _in_service(metadata, message) and (build or "uild failed" in message):
        return _build_failed(site, message, metadata, build)
    if _in_service(metadata, message):
        found = _REVISION.search(message)
        lines = last_lines(site.gcp, site.name, revision=found[1] if found else "", limit=40)
        return cannot_serve(f"the new revision of function {site.name!r}", message, lines)
    found_error = failed(error, what)
    return CloudError(
        f"Cloud Functions gave up while waiting for {what}: {found_error.code}",
        why=message,
        fix=found_error.fix,
        code=found_error.code,
        operation="operations.GetOperation",
    )


def _build_failed(site: Site, message: str, metadata: Mapping[str, Any], build: str) -> DeployFailed:
    lines = build_lines(site.gcp, build) if build else ()
    broken = line_that_failed([*lines, *message.splitlines()])
    where = next((s["resourceUri"] for s in metadata.get("stages") or () if s.get("resourceUri")), "")
    return DeployFailed(
        f"the build of function {site.name!r} failed{f': {broken}' if broken else ''}",
        why=message or "Google gives no reason",
        fix=f"mend what the line names, then deploy again{f'; the whole log: {where}' if where else ''}",
        log_tail=lines,
    )


def build_of(metadata: Mapping[str, Any], message: str) -> str:
    """Id of the operation's build; empty when there was none."""
    found = _BUILD.search(str(metadata.get("buildName", ""))) or _BUILD.search(message)
    return found[1] if found else ""


def _in_service(metadata: Mapping[str, Any], message: str) -> bool:
    """Whether the build was done, and the revision was what failed."""
    stages = {s.get("name"): s.get("state") for s in metadata.get("stages") or ()}
    if "SERVICE" in stages:
        return stages["SERVICE"] not in (None, "NOT_STARTED", "STATE_UNSPECIFIED")
    return "Healthcheck failed" in message or "failed to start and listen" in message


def line_that_failed(lines: Sequence[str]) -> str:
    """The line of a build's log that says what is wrong, with the place before it; empty when none does."""
    plain = [_STEP.sub("", line) for line in lines]
    found = ((n, line) for wrong in _WRONG for n, line in enumerate(plain) if wrong.match(line))
    at, line = next(found, (0, ""))
    place = next((m[0] for text in reversed(plain[max(0, at - 5) : at]) if (m := _PLACE.search(text))), "")
    line = line.strip()
    return f"{place}: {line}" if place and line and place not in line else line
