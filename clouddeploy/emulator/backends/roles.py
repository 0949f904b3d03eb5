"""moto's IAM, read from inside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from clouddeploy.emulator.settings import ACCOUNT


@dataclass(frozen=True)
class Role:
    """A role as far as assuming it and reading model data matter.

    Args:
        identity: IAM's unique id: another one when a role is deleted and made again.
        created: Unix time.
        trust: its trust policy.
        statements: those of its inline and attached policies.
    """

    identity: str
    created: float
    trust: dict[str, Any]
    statements: tuple[dict[str, Any], ...]


def find(arn: str) -> Role | None:
    """The role with that ARN, or None."""
    from moto.iam.models import iam_backends

    for role in list(iam_backends[ACCOUNT]["aws"].roles.values()):
        if role.arn == arn:
            attached: list[Any] = list(role.managed_policies.values())
            documents = [*role.policies.values(), *(_default_version(p) for p in attached)]
            statements = [s for d in documents for s in as_list(document(d).get("Statement"))]
            trust = document(role.assume_role_policy_document)
            return Role(role.id, role.create_date.timestamp(), trust, tuple(statements))
    return None


def _default_version(policy: Any) -> str:
    return next((str(v.document) for v in policy.versions if v.is_default), "{}")


def document(text: str) -> dict[str, Any]:
    """A policy document that may be percent-encoded; an empty one when it is no JSON object."""
    for candidate in (text, unquote(text)):
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def as_list(value: Any) -> list[Any]:
    """IAM lets a list of one be written without brackets."""
    return list(value) if isinstance(value, list) else [] if value is None else [value]
