"""The execution role: what the cloud's own machines may do on the deployment's behalf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws.survey import Survey
from clouddeploy.spec import digest_of

POLICY = "clouddeploy"
NAME_LIMIT = 64
"""Characters of a role's name (IAM API reference, CreateRole)."""
MISSING = frozenset({"NoSuchEntity", "NoSuchEntityException"})


def role_name(region: str, name: str, ending: str = "") -> str:
    """``clouddeploy-<region>-<name><ending>``, cut and made unique by a hash where that is too long."""
    whole = f"clouddeploy-{region}-{name}{ending}"
    if len(whole) <= NAME_LIMIT:
        return whole
    return f"{whole[: NAME_LIMIT - 9]}-{digest_of(whole)[:8]}"


def trust_policy(service: str, account: str = "") -> dict[str, Any]:
    """Lets `service` use the role.

    Args:
        service: its principal.
        account: only for this account's resources (IAM, "The confused deputy problem"); empty for a
            service that doesn't tell for whom it asks.
    """
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if account:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    return {"Version": "2012-10-17", "Statement": [statement]}


@dataclass(frozen=True)
class Role:
    """An IAM role with one inline policy, made for one deployment.

    Args:
        aws: the seam.
        survey: tells whether anything of the deployment exists at all.
        name: the role's name.
        deployment: whose it is.
        trust: its trust policy.
        policy: what it allows.
        tags: all its tags.
        needs: keys of what must exist before.
    """

    aws: Aws
    survey: Survey
    name: str
    deployment: str
    trust: Mapping[str, Any]
    policy: Mapping[str, Any]
    tags: Mapping[str, str]
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "role"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``role/<name>``."""
        return f"role/{self.name}"

    @property
    def removal(self) -> str:
        """The inline policy must go first (IAM API reference, DeleteRole)."""
        return (
            f"aws iam delete-role-policy --role-name {self.name} --policy-name {POLICY}; "
            f"aws iam delete-role --role-name {self.name}"
        )

    def desired(self) -> State:
        """Both documents and the tags."""
        return {"trust": dict(self.trust), "policy": dict(self.policy), "tags": dict(self.tags)}

    def read(self) -> State | None:
        """As IAM has it.

        Raises:
            NameConflict: a role of that name isn't this deployment's.
        """
        return None if self.survey.fresh else self._read()

    def _read(self) -> State | None:
        answer = self.aws.find("iam", "GetRole", MISSING, RoleName=self.name)
        if answer is None:
            return None
        found = tags.as_map(answer["Role"].get("Tags"))
        if not tags.is_ours(found, self.deployment):
            raise tags.conflict("role", self.name, found, self.deployment, "remove it, or give access.role")
        inline = self.aws.find("iam", "GetRolePolicy", MISSING, RoleName=self.name, PolicyName=POLICY)
        return {
            "trust": _document(answer["Role"]["AssumeRolePolicyDocument"]),
            "policy": _document(inline["PolicyDocument"]) if inline else None,
            "tags": found,
        }

    def create(self, wish: State) -> None:
        """Make the role, then its policy; an own role that is there already is brought in line."""
        self.survey.spend()
        try:
            self.aws(
                "iam",
                "CreateRole",
                RoleName=self.name,
                AssumeRolePolicyDocument=json.dumps(wish["trust"]),
                Description=f"What the machines of the clouddeploy deployment {self.deployment} may do",
                Tags=tags.as_list(wish["tags"]),
            )
        except CloudError as error:
            actual = self._read() if matches(error, {"EntityAlreadyExists"}) else None
            if actual is None:
                raise
            self.update(actual, wish)
            return
        self._put_policy(wish)

    def update(self, actual: State, wish: State) -> None:
        """Write what differs."""
        if actual["trust"] != wish["trust"]:
            document = json.dumps(wish["trust"])
            self.aws("iam", "UpdateAssumeRolePolicy", RoleName=self.name, PolicyDocument=document)
        if actual["policy"] != wish["policy"]:
            self._put_policy(wish)
        dropped = sorted(set(actual["tags"]) - set(wish["tags"]))
        if dropped:
            self.aws("iam", "UntagRole", RoleName=self.name, TagKeys=dropped)
        changed = {k: v for k, v in wish["tags"].items() if actual["tags"].get(k) != v}
        if changed:
            self.aws("iam", "TagRole", RoleName=self.name, Tags=tags.as_list(changed))

    def _put_policy(self, wish: State) -> None:
        if wish["policy"] is None:
            self.aws.find("iam", "DeleteRolePolicy", MISSING, RoleName=self.name, PolicyName=POLICY)
            return
        document = json.dumps(wish["policy"])
        self.aws("iam", "PutRolePolicy", RoleName=self.name, PolicyName=POLICY, PolicyDocument=document)

    def delete(self) -> None:
        """Remove it with every policy on it: a role that still has some can't be removed."""
        self.aws.find("iam", "DeleteRolePolicy", MISSING, RoleName=self.name, PolicyName=POLICY)
        try:
            self.aws.find("iam", "DeleteRole", MISSING, RoleName=self.name)
        except CloudError as error:
            if not matches(error, {"DeleteConflict"}):
                raise
            self._strip()
            self.aws.find("iam", "DeleteRole", MISSING, RoleName=self.name)

    def _strip(self) -> None:
        for policy in self.aws.pages(
            "iam", "ListAttachedRolePolicies", "AttachedPolicies", RoleName=self.name
        ):
            arn = policy["PolicyArn"]
            self.aws.find("iam", "DetachRolePolicy", MISSING, RoleName=self.name, PolicyArn=arn)
        listed = self.aws("iam", "ListRolePolicies", RoleName=self.name)["PolicyNames"]
        for inline in listed:
            self.aws.find("iam", "DeleteRolePolicy", MISSING, RoleName=self.name, PolicyName=inline)


def _document(found: Any) -> Any:
    """A policy document; boto3 has parsed it already, another transport may not have."""
    return json.loads(found) if isinstance(found, str) else found
