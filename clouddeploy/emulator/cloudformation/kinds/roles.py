"""AWS::IAM::Role."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.cloudformation.kinds.kind import Kind, Site, changed
from clouddeploy.emulator.cloudformation.records import Part


class Role(Kind):
    """``AWS::IAM::Role``: Ref is the name; attributes ``Arn`` and ``RoleId``."""

    known = (
        "AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "MaxSessionDuration", "Path",
        "PermissionsBoundary", "Policies", "RoleName", "Tags",
    )  # fmt: skip
    replaced_by = ("Path", "RoleName")

    def create(self, site: Site, part: Part) -> None:
        """CreateRole, its inline and its attached policies."""
        name = str(part.properties.get("RoleName") or site.name(part, longest=64))
        trust = json.dumps(part.properties["AssumeRolePolicyDocument"])
        wish = {**part.properties, "RoleName": name, "AssumeRolePolicyDocument": trust}
        role = site.call("iam", "CreateRole", **site.fitting("iam", "CreateRole", wish))["Role"]
        part.physical_id = name
        part.attributes = {"Arn": role["Arn"], "RoleId": role["RoleId"]}
        self._policies(site, part, {})

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """UpdateRole, UpdateAssumeRolePolicy, policies, tags."""
        name, wish = part.physical_id, part.properties
        if changed(part, before, "AssumeRolePolicyDocument"):
            trust = json.dumps(wish["AssumeRolePolicyDocument"])
            site.call("iam", "UpdateAssumeRolePolicy", RoleName=name, PolicyDocument=trust)
        if changed(part, before, "Description", "MaxSessionDuration"):
            duration = int(wish.get("MaxSessionDuration", 3600))
            description = str(wish.get("Description", ""))
            site.call(
                "iam", "UpdateRole", RoleName=name, Description=description, MaxSessionDuration=duration
            )
        if changed(part, before, "Tags"):
            keys = [tag["Key"] for tag in before.get("Tags") or ()]
            if keys:
                site.call("iam", "UntagRole", RoleName=name, TagKeys=keys)
            if tags := wish.get("Tags"):
                site.call("iam", "TagRole", RoleName=name, Tags=tags)
        self._policies(site, part, before)

    def delete(self, site: Site, part: Part) -> None:
        """DeleteRole, after its policies."""
        self._policies(
            site, Part(part.logical_id, part.type, {}, physical_id=part.physical_id), part.properties
        )
        site.drop("iam", "DeleteRole", RoleName=part.physical_id)

    def _policies(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        name = part.physical_id
        now, then = (
            {str(p["PolicyName"]): json.dumps(p["PolicyDocument"]) for p in properties.get("Policies") or ()}
            for properties in (part.properties, before)
        )
        for policy, document in now.items():
            if then.get(policy) != document:
                site.call("iam", "PutRolePolicy", RoleName=name, PolicyName=policy, PolicyDocument=document)
        for policy in set(then) - set(now):
            site.drop("iam", "DeleteRolePolicy", RoleName=name, PolicyName=policy)
        attached, attached_before = (
            set(properties.get("ManagedPolicyArns") or ()) for properties in (part.properties, before)
        )
        for arn in sorted(attached - attached_before):
            site.call("iam", "AttachRolePolicy", RoleName=name, PolicyArn=arn)
        for arn in sorted(attached_before - attached):
            site.drop("iam", "DetachRolePolicy", RoleName=name, PolicyArn=arn)
