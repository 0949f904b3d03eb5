"""What a failed Google Cloud call means: whether to try again, and as which of our errors it is told."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from clouddeploy.errors import (
    CloudDeployError,
    CloudError,
    CredentialsError,
    InputError,
    QuotaExceeded,
    SpecError,
    Throttled,
)
from clouddeploy.providers.gcp.codes import (
    DISABLED,
    EXISTS,
    HOSTS,
    LOST,
    MISSING,
    MOVED,
    NO_BILLING,
    NO_CREDENTIALS,
    PASSING,
    PASSING_STATUS,
    QUOTA_REASONS,
    RATE_REASONS,
    REFRESH,
    ROLES,
    STATUS_OF_HTTP,
    WRONG_PROJECT,
)

__all__ = ["EXISTS", "MISSING", "MOVED", "code_of", "codes_of", "is_passing", "matches", "translate"]

LOOKED_IN = (
    "google.auth looks in the option credentials, the file that GOOGLE_APPLICATION_CREDENTIALS names, "
    "gcloud's application default credentials, then the metadata server of the machine"
)
SIGN_IN = "run 'gcloud auth application-default login', give credentials='key.json', or use emulated=True"
_PERMISSION = re.compile(r"[Pp]ermission '([a-z]\w*(?:\.\w+)+)'|does not have ([a-z]\w*(?:\.\w+)+) access")
_PERMISSION_BARE = re.compile(r"\b([a-z]\w*\.[a-zA-Z]\w*\.[a-zA-Z]+)\b(?= permission| denied| access)")
_RATE = re.compile(
    r"per (?:\d+ )?(?:second|minute|hour|user)|rate(?: limit|\b.*exceeded)|too many requests", re.I
)
_LOCATION = re.compile(
    r"(?<![\w/])locations/([\w-]+)(?![\w/-])|[Ll]ocation '?([\w-]+)'? (?:is not|isn't|not )"
    r"|location constraint is not valid"
)
_PROJECT = re.compile(
    r"[Uu]nknown project(?: id)?:? ?'?([\w:.-]*)|[Pp]roject '?(?:projects/)?([\w:.-]+)'?,? (?:was )?not found"
    r"|Permission denied on resource project ([\w:.-]*\w)"
    r"|does not have permission to use project ([\w:.-]+\w)"
)


def payload_of(error: BaseException) -> dict[str, Any]:
    """The ``error`` object in the JSON of the answer; empty when there is none."""
    response = getattr(error, "response", None)
    try:
        body = response.json() if response is not None and hasattr(response, "json") else {}
    except ValueError:
        return {}
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def status_of(error: BaseException) -> int:
    """The HTTP status of a ``GoogleAPICallError``, or 0."""
    code = getattr(error, "code", None)
    return int(code) if isinstance(code, int) else 0


def code_of(error: BaseException) -> str:
    """The status' name (``NOT_FOUND``), else the HTTP status, or the class's name for anything else."""
    told = payload_of(error).get("status")
    if told:
        return str(told)
    grpc = getattr(error, "grpc_status_code", None)
    if grpc is not None:
        return str(grpc.name)
    status = status_of(error)
    return STATUS_OF_HTTP.get(status, str(status)) if status else type(error).__name__


def codes_of(error: BaseException) -> frozenset[str]:
    """All by which an error may be asked for: status name, HTTP status as text, and the reasons given."""
    if isinstance(error, CloudDeployError):
        below = codes_of(error.__cause__) if error.__cause__ is not None else frozenset()
        return below | {getattr(error, "code", "")} - {""}
    found = {
        code_of(error),
        str(status_of(error) or type(error).__name__),
        str(_info(error).get("reason", "")),
    }
    entries = payload_of(error).get("errors") or getattr(error, "errors", None) or ()
    found |= {str(e["reason"]) for e in entries if isinstance(e, dict) and e.get("reason")}
    return frozenset(found - {""})


def matches(error: BaseException, codes: Collection[str]) -> bool:
    """Whether `error`, of Google's clients or ours, has one of `codes` (see `codes_of`)."""
    return not codes_of(error).isdisjoint(codes)


def message_of(error: BaseException) -> str:
    """Google's own message, or the exception's text."""
    return str(payload_of(error).get("message") or getattr(error, "message", "") or error)


def is_quota(error: BaseException) -> bool:
    """A limit of the project is reached, which waiting doesn't mend."""
    codes = codes_of(error)
    if not codes & {"RESOURCE_EXHAUSTED", "429", *QUOTA_REASONS} or codes & RATE_REASONS:
        return False
    message = message_of(error)
    return bool(codes & QUOTA_REASONS) or ("quota" in message.lower() and not _RATE.search(message))


def is_throttled(error: BaseException) -> bool:
    """Google asks to slow down."""
    codes = codes_of(error)
    return bool(codes & ({"RESOURCE_EXHAUSTED", "429"} | RATE_REASONS)) and not is_quota(error)


def is_lost(error: BaseException) -> bool:
    """The answer was lost, so that the call may or may not have had its effect."""
    return isinstance(error, (ConnectionError, TimeoutError)) or bool(_names(error) & LOST)


def is_passing(error: BaseException) -> bool:
    """Trying again may help."""
    if is_quota(error) or _names(error) & NO_CREDENTIALS:
        return False
    if _names(error) & REFRESH:
        return bool(getattr(error, "retryable", False))
    passing = status_of(error) in PASSING_STATUS or bool(codes_of(error) & PASSING)
    return is_throttled(error) or passing or is_lost(error)


def translate(error: Exception, service: str, method: str) -> CloudDeployError:
    """`error` of Google's clients, as one of ours."""
    if isinstance(error, CloudDeployError):
        return error
    call, message, names = f"{service}.{method}", message_of(error), _names(error)
    if names & NO_CREDENTIALS:
        return CredentialsError(f"no usable Google Cloud credentials: {message}", why=LOOKED_IN, fix=SIGN_IN)
    if names & REFRESH or code_of(error) == "UNAUTHENTICATED":
        return CredentialsError(
            f"Google Cloud doesn't accept these credentials: {message}",
            why=f"they have expired or were revoked, or this machine's clock is wrong; {LOOKED_IN}",
            fix=SIGN_IN,
        )
    if "ParseError" in names:
        return InputError(
            f"the parameters of {call} don't fit: {message}", why=message, fix="mend the value it names"
        )
    return _project_trouble(error, service, message) or _refused(error, service, call, message)


def _project_trouble(error: Exception, service: str, message: str) -> CloudDeployError | None:
    """What is wrong with the project as a whole, rather than with this call."""
    codes = codes_of(error)
    if "quota project" in message:
        return CredentialsError(
            f"the user's credentials name no project that pays for calls to {HOSTS.get(service, service)}",
            why=message,
            fix="run 'gcloud auth application-default set-quota-project PROJECT'",
        )
    if codes & DISABLED or "API has not been used in project" in message:
        host = str(_metadata(error).get("service") or HOSTS.get(service, service))
        consumer = str(_metadata(error).get("consumer", "")).removeprefix("projects/")
        return CredentialsError(
            f"the API {host} is disabled in project {consumer or 'used'}",
            why=message,
            fix=f"run 'gcloud services enable {host}{f' --project={consumer}' if consumer else ''}', "
            "wait a minute, then run it again",
        )
    if codes & NO_BILLING:
        return CredentialsError(
            f"billing is disabled for the project: {message}",
            why=message,
            fix="link a billing account: 'gcloud billing projects link PROJECT --billing-account=ACCOUNT'",
        )
    found = _PROJECT.search(message)
    if codes & WRONG_PROJECT or found:
        named = next((g for g in found.groups() if g), "") if found else ""
        named = named or str(_metadata(error).get("consumer", "")).removeprefix("projects/")
        return CredentialsError(
            f"the project {named!r} doesn't exist, or these credentials may not use it",
            why=message,
            fix="give project='...' with the project's id (see 'gcloud projects list'), not its name",
        )
    return None


def _denied(error: Exception, service: str, call: str, message: str) -> CredentialsError:
    metadata = _metadata(error)
    found = _PERMISSION.search(message) or _PERMISSION_BARE.search(message)
    permission = str(metadata.get("permission") or (next(g for g in found.groups() if g) if found else ""))
    role = "roles/iam.serviceAccountUser" if permission.endswith(".actAs") else ROLES.get(service, "a role")
    what = f"no permission for {permission}" if permission else "permission denied"
    holds = f" that holds {permission}" if permission else ""
    return CredentialsError(
        f"{what}: the caller may not call {call}",
        why=message,
        fix=f"grant the caller a role{holds}, such as {role}: "
        f"'gcloud projects add-iam-policy-binding PROJECT --member=user:YOU --role={role}'",
    )


def _refused(error: Exception, service: str, call: str, message: str) -> CloudDeployError:
    code = code_of(error)
    where = _LOCATION.search(message)
    if where and codes_of(error) & {"PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT", "invalid"}:
        return _no_location(next((g for g in where.groups() if g), ""), service, message)
    if code == "PERMISSION_DENIED":
        return _denied(error, service, call, message)
    if is_throttled(error):
        return Throttled(
            f"Google Cloud throttled {call}, and kept on doing so",
            why=message,
            fix="wait a minute, then run it again",
            code=code,
            operation=call,
        )
    if is_quota(error):
        return QuotaExceeded(
            f"a limit of the project is reached by {call}",
            why=message,
            fix="ask for more under 'IAM & Admin > Quotas' in the console, or use fewer or smaller instances",
            code=code,
            operation=call,
        )
    if is_lost(error):
        return CloudError(
            f"Google Cloud can't be reached for {call}",
            why=message,
            fix="check the network, the region and the endpoint URL, then run it again",
            code=code,
            operation=call,
        )
    passing = is_passing(error)
    return CloudError(
        f"Google Cloud {'failed in' if passing else 'refused'} {call}: {code}",
        why=message,
        fix="wait a minute, then run it again; status.cloud.google.com tells of outages"
        if passing
        else "mend the cause, then run it again",
        code=code,
        operation=call,
    )


def _no_location(region: str, service: str, message: str) -> SpecError:
    product = HOSTS.get(service, service)
    return SpecError(
        f"region {region!r} doesn't exist, or {product} isn't offered there",
        why=message,
        fix="choose another region=..., see 'gcloud functions regions list' or 'gcloud run regions list'",
    )


def _names(error: BaseException) -> set[str]:
    return {c.__name__ for c in type(error).__mro__}


def _info(error: BaseException) -> dict[str, Any]:
    """The ``google.rpc.ErrorInfo`` among the details."""
    details = payload_of(error).get("details") or getattr(error, "details", None) or ()
    kind = "google.rpc.ErrorInfo"
    found = next((d for d in details if isinstance(d, dict) and str(d.get("@type", "")).endswith(kind)), None)
    if found:
        return found
    reason = getattr(error, "reason", None)
    return {"reason": reason, "metadata": getattr(error, "metadata", None)} if reason else {}


def _metadata(error: BaseException) -> dict[str, Any]:
    return dict(_info(error).get("metadata") or {})
