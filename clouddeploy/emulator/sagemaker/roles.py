"""Whether SageMaker can use an execution role.

"How to use SageMaker AI execution roles" (Amazon SageMaker Developer Guide): the role's trust policy
must let the principal ``sagemaker.amazonaws.com`` assume it, and its permissions must let it read the
model data. A role that was just made may not be assumable yet ("IAM is eventually consistent", IAM User
Guide, "Troubleshoot IAM").
"""

from __future__ import annotations

import fnmatch
import time
from collections import Counter
from typing import Any

from clouddeploy.emulator.backends import roles
from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.settings import Settings

PRINCIPAL = "sagemaker.amazonaws.com"
OBJECT_TAG = "s3:ExistingObjectTag"
CANNOT_ASSUME = (
    "Could not assume role {arn}. Please ensure that the role exists and allows principal "
    f"'{PRINCIPAL}' to assume the role."
)
CANNOT_READ = (
    'Could not access model data at {url}. Please ensure that the role "{arn}" exists and that its trust '
    f'relationship policy allows the action "sts:AssumeRole" for the service principal "{PRINCIPAL}". Also '
    'ensure that the role has "s3:GetObject" permissions and that the object is located in {region}.'
)


class Roles:
    """Remembers how often a young role was refused."""

    def __init__(self) -> None:
        self._refused: Counter[str] = Counter()

    def assume(self, arn: str, settings: Settings) -> roles.Role:
        """The role, if SageMaker may assume it.

        Raises:
            Refused: it doesn't exist, doesn't trust SageMaker, or is too young.
        """
        role = self.usable(arn, settings, PRINCIPAL)
        if role is None:
            raise Refused(CANNOT_ASSUME.format(arn=arn))
        return role

    def usable(self, arn: str, settings: Settings, principal: str) -> roles.Role | None:
        """The role, if a service's `principal` may assume it by now."""
        role = roles.find(arn)
        if role is not None and _trusts(role.trust, principal):
            young = time.time() - role.created < settings.role_ready_after_s
            early = self._refused[role.identity] < settings.role_ready_after_calls
            if not young and not early:
                return role
            self._refused[role.identity] += 1
        return None

    def clear(self) -> None:
        """Forget every role."""
        self._refused.clear()


def _trusts(trust: dict[str, Any], principal: str) -> bool:
    for statement in roles.as_list(trust.get("Statement")):
        actions = [str(a).lower() for a in roles.as_list(statement.get("Action"))]
        given = statement.get("Principal")
        services = roles.as_list(given.get("Service")) if isinstance(given, dict) else [given]
        assume = any(a in ("sts:assumerole", "sts:*", "*") for a in actions)
        if statement.get("Effect") == "Allow" and assume and (principal in services or "*" in services):
            return True
    return False


def may_read(role: roles.Role, bucket: str, key: str) -> bool:
    """Whether the role's policies let it get the object."""
    return allows(role, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")


def allows(role: roles.Role, action: str, resource: str) -> bool:
    """Whether the role's policies let it do `action` to the resource of that ARN.

    A statement for objects with a certain tag grants nothing, as ours have none; other conditions aren't
    looked at.
    """
    wanted = action.lower()
    allowed = False
    for statement in role.statements:
        actions = roles.as_list(statement.get("Action"))
        resources = roles.as_list(statement.get("Resource"))
        hit = any(fnmatch.fnmatchcase(wanted, str(a).lower()) for a in actions)
        hit = hit and OBJECT_TAG not in str(statement.get("Condition", ""))
        hit = hit and any(fnmatch.fnmatchcase(resource, str(r)) for r in resources)
        if hit and statement.get("Effect") == "Deny":
            return False
        allowed = allowed or (hit and statement.get("Effect") == "Allow")
    return allowed
