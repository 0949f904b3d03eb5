"""What a request asks a stack to be: its template, parameters and the rest, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.cloudformation.kinds.table import kind_of
from clouddeploy.emulator.cloudformation.records import Stack, Wish
from clouddeploy.emulator.cloudformation.template import BODY_LIMIT, OBJECT_LIMIT, Template, parse

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

NAMED = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": "",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
}


def read(cloud: Cloud, params: Mapping[str, Any], stack: Stack | None) -> Wish:
    """The wish in a request for `stack`, which is None when it shall be made.

    Raises:
        Refused: it can't be meant.
    """
    template = template_in(cloud, params, stack)
    before = stack.wish if stack is not None else None
    capabilities = frozenset(params.get("Capabilities") or ())
    _check_types(template)
    _check_capabilities(template, capabilities)
    given = params.get("Tags")
    tags = tuple((t["Key"], t.get("Value", "")) for t in given or ())
    topics = params.get("NotificationARNs")
    return Wish(
        template,
        _parameters(template, params.get("Parameters") or (), before.parameters if before else {}),
        before.tags if given is None and before else tags,
        capabilities,
        str(params.get("RoleARN") or (before.role if before else "")),
        before.topics if topics is None and before else tuple(topics or ()),
        bool(params.get("DisableRollback")) or params.get("OnFailure") == "DO_NOTHING",
    )


def template_in(cloud: Cloud, params: Mapping[str, Any], stack: Stack | None) -> Template:
    """The template that a request holds or names.

    Raises:
        Refused: there is none, or it is no template.
    """
    if params.get("UsePreviousTemplate") and stack is not None and stack.wish is not None:
        return stack.wish.template
    if body := params.get("TemplateBody"):
        if len(body.encode()) > BODY_LIMIT:
            raise _invalid(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: "
                f"Member must have length less than or equal to {BODY_LIMIT}"
            )
        return parse(body)
    if url := params.get("TemplateURL"):
        return parse(_fetched(cloud, url))
    raise _invalid("Either Template URL or Template Body must be specified.")


def _fetched(cloud: Cloud, url: str) -> str:
    bucket, key = _place(url)
    size = next((n for name, _, n in cloud.s3.list(bucket, key) if name == key), None)
    if size is None:
        raise _invalid("S3 error: The specified key does not exist.")
    if size > OBJECT_LIMIT:
        raise _invalid(f"Template may not exceed {OBJECT_LIMIT} bytes in size.")
    import io

    raw = io.BytesIO()
    cloud.s3.copy(bucket, key, raw)
    return raw.getvalue().decode("utf-8", "replace")


def _place(url: str) -> tuple[str, str]:
    """Bucket and key of an object's URL, in either of S3's styles."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path).lstrip("/")
    virtual = re.fullmatch(r"(.+)\.s3[.-]([a-z0-9-]+\.)?amazonaws\.com", host)
    if virtual:
        return virtual[1], path
    bucket, _, key = path.partition("/")
    if not re.fullmatch(r"s3[.-]([a-z0-9.-]+\.)?amazonaws\.com|127\.0\.0\.1|localhost", host) or not key:
        raise _invalid("TemplateURL must be a supported URL.")
    return bucket, key


def _parameters(template: Template, given: Any, before: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    told = {p["ParameterKey"]: p for p in given}
    if unknown := sorted(set(told) - set(template.parameters)):
        raise _invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    lacking = []
    for name, declared in template.parameters.items():
        one = told.get(name) or {}
        if one.get("UsePreviousValue") and name in before:
            values[name] = before[name]
        elif "ParameterValue" in one:
            values[name] = one["ParameterValue"]
        elif "Default" in declared:
            default = declared["Default"]
            values[name] = str(default).lower() if isinstance(default, bool) else str(default)
        else:
            lacking.append(name)
            continue
        _check(name, values[name], declared)
    if lacking:
        raise _invalid(f"Parameters: [{', '.join(lacking)}] must have values")
    return values


def _check(name: str, value: str, declared: Mapping[str, Any]) -> None:
    allowed = [str(item) for item in declared.get("AllowedValues") or ()]
    pattern = declared.get("AllowedPattern")
    if allowed and value not in allowed:
        raise _invalid(f"Parameter '{name}' must be one of AllowedValues")
    if pattern and not re.fullmatch(pattern, value):
        raise _invalid(f"Parameter '{name}' must match pattern {pattern}")
    if declared.get("Type") == "Number" and not re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", value):
        raise _invalid(f"Parameter '{name}' must be a number")


def _check_types(template: Template) -> None:
    types = {str(resource["Type"]) for resource in template.resources.values()}
    unknown = sorted(name for name in types if kind_of(name) is None)
    if unknown:
        raise _invalid(
            f"Template format error: Unrecognized resource types: [{', '.join(unknown)}] "
            "(the embedded cloud has none such)"
        )


def _check_capabilities(template: Template, given: frozenset[str]) -> None:
    """ "Acknowledging IAM resources in CloudFormation templates" (User Guide)."""
    if "CAPABILITY_NAMED_IAM" in given:
        return
    iam = [r for r in template.resources.values() if r["Type"] in NAMED]
    named = any(NAMED[r["Type"]] in (r.get("Properties") or {}) for r in iam)
    if named or (iam and "CAPABILITY_IAM" not in given):
        lacking = "CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"
        raise Refused(f"Requires capabilities : [{lacking}]", code="InsufficientCapabilitiesException")


def _invalid(message: str) -> Refused:
    return Refused(message, code="ValidationError")
