"""Conditions of services and revisions ("Condition", Cloud Run Admin API v2)."""

from __future__ import annotations

from typing import Any

from clouddeploy.emulator.google.call import now


def condition(kind: str, state: str, message: str = "") -> dict[str, Any]:
    """One condition as of now."""
    found = {"type": kind, "state": state, "lastTransitionTime": now()}
    return {**found, "message": message, "severity": "ERROR"} if message else found


def settle(service: dict[str, Any], *, failed: str = "") -> None:
    """Mark a service as reconciled, or its last change as failed."""
    state = "CONDITION_FAILED" if failed else "CONDITION_SUCCEEDED"
    service["terminalCondition"] = condition("Ready", state, failed)
    service["conditions"] = [
        condition("RoutesReady", "CONDITION_SUCCEEDED" if service.get("trafficStatuses") else state),
        condition("ConfigurationsReady", state, failed),
    ]
    if failed:
        service["terminalCondition"]["reason"] = "REVISION_FAILED"
    service["reconciling"] = False
    service["observedGeneration"] = service["generation"]


def reconciling(service: dict[str, Any]) -> None:
    """Mark a service as changing."""
    service["reconciling"] = True
    service["terminalCondition"] = condition("Ready", "CONDITION_RECONCILING")
