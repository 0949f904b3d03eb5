"""How what runs stands, and its figures."""

from __future__ import annotations

from collections.abc import Mapping

from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.metrics import sums
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.scaling import OWN_NAMESPACE, dimensions, own_dimensions
from clouddeploy.providers.aws_lambda.site import MISSING
from clouddeploy.spec import Phase, Status

PHASES: Mapping[str, Phase] = {
    "Pending": "creating",
    "Active": "ready",
    "Inactive": "ready",
    "ActiveNonInvocable": "updating",
    "Failed": "failed",
    "Deleting": "deleting",
}
"""``Inactive`` functions were idle for long, and come back with the next request ("Lambda function
states")."""
QUERIES = {
    "requests": ("Invocations", "Sum"),
    "errors_5xx": ("Errors", "Sum"),
    "latency_sum": ("Duration", "Sum"),
    "latency_count": ("Duration", "SampleCount"),
}
OWN_QUERIES = {"refused": ("Refusals", "Sum"), "failed": ("Errors", "Sum")}
"""Of what our entry counts itself: answers of status 4xx and 5xx, which Lambda takes for successes."""


def status_of(aws: Aws, name: str) -> Status:
    """How the function `name` stands: the version that its alias points to."""
    found = aws.find("lambda", "GetFunctionConfiguration", MISSING, FunctionName=name, Qualifier=names.ALIAS)
    if found is not None:
        release, _ = names.parts_of(found.get("Description", ""))
        state = str(found.get("State", "Active"))
        return Status(PHASES.get(state, "updating"), state, release, found.get("StateReason") or "")
    there = aws.find("lambda", "GetFunctionConfiguration", MISSING, FunctionName=name)
    if there is None:
        return Status("missing", "")
    reason = f"no alias {names.ALIAS!r} points to a version yet"
    return Status("creating", str(there.get("State", "")), reason=there.get("StateReason") or reason)


def metrics(aws: Aws, name: str, *, since_s: float) -> Mapping[str, float]:
    """Figures of the past `since_s` seconds; without a request there is no ``latency_ms``.

    ``errors_5xx`` are invocations that raised, timed out or ran out of memory, and answers of status 5xx.
    """
    totals = sums(aws, "AWS/Lambda", dimensions(name), QUERIES, since_s=since_s)
    own = sums(aws, OWN_NAMESPACE, own_dimensions(name), OWN_QUERIES, since_s=since_s)
    totals["errors_4xx"] = own["refused"]
    totals["errors_5xx"] += own["failed"]
    count, total_ms = totals.pop("latency_count"), totals.pop("latency_sum")
    return {**totals, "latency_ms": total_ms / count} if count else totals
