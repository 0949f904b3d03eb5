"""Policy documents (IAM API Reference: CreateRole, UpdateAssumeRolePolicy)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from clouddeploy.emulator.backends.roles import as_list
from clouddeploy.emulator.call import Call, Refused

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

MALFORMED = "MalformedPolicyDocument"


def check_trust(_: Cloud, call: Call) -> None:
    """Refuse a trust policy that is no policy; moto answers the rest."""
    text = call.params.get("AssumeRolePolicyDocument") or call.params.get("PolicyDocument", "")
    try:
        found = json.loads(text)
    except ValueError:
        raise Refused("This policy contains invalid Json", code=MALFORMED) from None
    statements = as_list(found.get("Statement")) if isinstance(found, dict) else []
    if not statements:
        raise Refused("Syntax errors in policy.", code=MALFORMED)
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            raise Refused("Syntax errors in policy.", code=MALFORMED)
        if not any(k in statement for k in ("Principal", "NotPrincipal")):
            raise Refused("Missing required field Principal", code=MALFORMED)
        if "Resource" in statement:
            raise Refused("Has prohibited field Resource", code=MALFORMED)
