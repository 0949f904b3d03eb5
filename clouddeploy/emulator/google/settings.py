"""How the embedded Google Cloud behaves; the field ``google`` of the emulator's `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from clouddeploy.errors import SpecError


@dataclass(frozen=True, kw_only=True, slots=True)
class GoogleSettings:
    """Times, limits and refusals; lists and mappings may come from JSON.

    Args:
        operation_s: seconds that an operation takes at least, spread over its stages.
        stuck_operations: so many operations from now on neither finish nor do anything, until this is set
            to 0 again.
        account_ready_after_calls: so many uses of a new service account are refused first (IAM is
            eventually consistent: "Access change propagation", IAM documentation).
        max_services: Cloud Run services in a region of a project ("Cloud Run Quotas and Limits": 1000),
            functions among them.
        max_instances: instances that a service may ask for as its maximum ("Cloud Run Quotas and
            Limits"; the default of a region differs: 100 in most).
        projects: the projects that exist; empty: every one.
        unavailable_regions: regions that the products don't have, besides those that don't exist.
        disabled_apis: such as ``run.googleapis.com``: calls of it end as SERVICE_DISABLED.
        denied: calls by ``service.Method`` that are refused next with PERMISSION_DENIED, and how many;
            negative: all.
        limited: the same with RESOURCE_EXHAUSTED, the rate quota.
        failing: the same with UNAVAILABLE.
        taken_buckets: bucket names that somebody else owns.
        domain_restricted: whether ``allUsers`` may not get a role (the organisation policy "Domain
            restricted sharing").
    """

    operation_s: float = 0
    stuck_operations: int = 0
    account_ready_after_calls: int = 0
    max_services: int = 1000
    max_instances: int = 100_000
    projects: tuple[str, ...] = ()
    unavailable_regions: tuple[str, ...] = ()
    disabled_apis: tuple[str, ...] = ()
    denied: Mapping[str, int] = field(default_factory=dict)
    limited: Mapping[str, int] = field(default_factory=dict)
    failing: Mapping[str, int] = field(default_factory=dict)
    taken_buckets: tuple[str, ...] = ()
    domain_restricted: bool = False

    def __post_init__(self) -> None:
        for known in fields(self):
            value = getattr(self, known.name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, known.name, value)
            if not _good(known.type, value):
                raise SpecError(
                    f"Settings.google.{known.name} is {value!r}",
                    why=f"allowed: {known.type}, and numbers of 0 or more",
                    fix=f"give {known.name} such a value",
                )

    def changed(self, values: Mapping[str, Any]) -> GoogleSettings:
        """These settings with some of them changed.

        Raises:
            SpecError: one is unknown or wrong.
        """
        unknown = sorted(set(values) - {f.name for f in fields(self)})
        if unknown:
            known = ", ".join(f.name for f in fields(self))
            raise SpecError(
                f"Settings.google has no {unknown[0]!r}", why=f"known: {known}", fix="use one of them"
            )
        return replace(self, **values)


def _good(kind: Any, value: Any) -> bool:
    if kind == "tuple[str, ...]":
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if kind == "Mapping[str, int]":
        pairs = value.items() if isinstance(value, Mapping) else [(None, None)]
        return all(isinstance(k, str) and isinstance(v, int) for k, v in pairs)
    if kind == "bool":
        return isinstance(value, bool)
    allowed = int if kind == "int" else (int, float)
    return isinstance(value, allowed) and not isinstance(value, bool) and value >= 0
