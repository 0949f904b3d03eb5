"""What a registry's refusals mean, and what to do about each."""

from __future__ import annotations

import json
import re

from clouddeploy.errors import CloudDeployError, CloudError
from clouddeploy.packaging.images.auth import refused
from clouddeploy.packaging.images.http import Answer, shown

TEXT_LIMIT = 300


def refusal(answer: Answer) -> tuple[str, str]:
    """The code and the text of an error (OCI Distribution Specification, "Error Codes")."""
    try:
        first = json.loads(answer.body)["errors"][0]
        code, message, detail = first.get("code", ""), first.get("message", ""), first.get("detail")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", answer.body[:TEXT_LIMIT].decode("utf-8", "replace").strip()
    more = f" ({json.dumps(detail)})" if detail else ""
    return str(code), f"{code}: {message}{more}"[:TEXT_LIMIT]


def refusal_error(host: str, method: str, answer: Answer) -> CloudDeployError:
    """The error for a status that wasn't hoped for."""
    code, text = refusal(answer)
    why = text or f"it answered {answer.status}"
    if answer.status in (401, 403):
        return refused(
            host, f"{method} {shown(answer.url)} answered {answer.status}" + (f": {text}" if text else "")
        )
    fix = "check the repository's settings"
    if code == "DIGEST_INVALID":
        fix = "the bytes were damaged on their way: run it again"
    elif code.startswith("TAG_INVALID") or "immutable" in text.lower():
        fix = "the repository's tags can't be changed: choose another tag, or make them mutable"
    elif answer.status == 413:
        fix = (
            "the registry, or a proxy before it, limits the size of requests: raise it, or use smaller layers"
        )
    return CloudError(
        f"{method} {shown(answer.url)} answered {answer.status}",
        why=why,
        fix=fix,
        code=code or str(answer.status),
        operation=method,
    )


def no_repository(host: str, repository: str, text: str, ecr: re.Match[str] | None) -> CloudError:
    """The error for pushing to a repository that isn't there."""
    command = f"aws ecr create-repository --repository-name {repository}"
    return CloudError(
        f"the registry {host} has no repository {repository!r}",
        why=text or "it answered 404",
        fix=f"create it: {command} --region {ecr['region']}" if ecr else "create it, or check its name",
        code="NAME_UNKNOWN",
        operation="POST",
    )


def check_digest(answer: Answer, digest: str, what: str) -> None:
    """Refuse a registry's word that it received other bytes than were sent.

    Raises:
        CloudError: its digest differs from ours.
    """
    theirs = answer.headers.get("Docker-Content-Digest")
    if theirs and theirs != digest:
        raise CloudError(
            f"{what} arrived as other bytes",
            why=f"the registry computed {theirs}, and we {digest}",
            fix="run it again; if it stays so, something between here and the registry changes the bytes",
            code="DIGEST_INVALID",
            operation="PUT",
        )
