"""What a failed AWS call means: whether to try again, and as which of our errors it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from clouddeploy.errors import (
    CloudDeployError,
    CloudError,
    CredentialsError,
    InputError,
    QuotaExceeded,
    Throttled,
)
from clouddeploy.providers.aws.actions import iam_actions
from clouddeploy.providers.aws.codes import (
    DENIED,
    EXPIRED,
    LOST_CONNECTION,
    NO_KEYS,
    PASSING,
    QUOTA,
    SKEWED,
    THROTTLED,
    UNKNOWN_KEYS,
)

LOOKED_IN = (
    "boto3 looks in the options given, the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
    "AWS_SESSION_TOKEN, AWS_PROFILE), ~/.aws/credentials and ~/.aws/config, then the role of the machine"
)
_WHO = re.compile(r"(?:User|Principal): (\S+)")
_DOES = re.compile(r"not authorized to perform: ([\w:-]+)(?: on resource: \"?([^\s\"]+))?")


def code_of(error: BaseException) -> str:
    """AWS's error code in a boto3 ``ClientError``, or the class's name for anything else."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Code", ""))
    return type(error).__name__


def message_of(error: BaseException) -> str:
    """AWS's own message, or the exception's text."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Message", "") or error)
    return str(error)


def status_of(error: BaseException) -> int:
    """The HTTP status of a boto3 ``ClientError``, or 0."""
    answer: Any = getattr(error, "response", None)
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) if isinstance(answer, dict) else 0


def matches(error: BaseException, patterns: Collection[str]) -> bool:
    """Whether `error` (of boto3, or ours) has one of the codes, or starts with one of ``Code: text``."""
    if isinstance(error, CloudError):
        code, message = error.code, error.why
    else:
        code, message = code_of(error), message_of(error)
    return any(code == p or (": " in p and f"{code}: {message}".startswith(p)) for p in patterns)


def is_throttled(error: BaseException) -> bool:
    """AWS asks to slow down."""
    return code_of(error) in THROTTLED or (status_of(error) == 429 and code_of(error) != "ModelError")


def is_lost(error: BaseException) -> bool:
    """The answer was lost, so that the call may or may not have had its effect."""
    return isinstance(error, (ConnectionError, TimeoutError)) or bool(_names(error) & LOST_CONNECTION)


def is_passing(error: BaseException) -> bool:
    """Trying again may help."""
    code, status = code_of(error), status_of(error)
    if code in DENIED | EXPIRED | UNKNOWN_KEYS | SKEWED | {"ModelError"}:
        return False
    return is_throttled(error) or code in PASSING or status in (500, 502, 503, 504) or is_lost(error)


def _names(error: BaseException) -> set[str]:
    return {c.__name__ for c in type(error).__mro__}


def translate(error: Exception, service: str, operation: str) -> CloudDeployError:
    """`error` of boto3, as one of ours."""
    if isinstance(error, CloudDeployError):
        return error
    call, code, message = f"{service}.{operation}", code_of(error), message_of(error)
    names = _names(error)
    if "NoRegionError" in names:
        return no_region()
    if names & NO_KEYS:
        return CredentialsError(
            f"no usable AWS credentials: {message}",
            why=LOOKED_IN,
            fix="set AWS_PROFILE or the two key variables, run 'aws sso login', or use emulated=True",
        )
    if code in EXPIRED:
        return CredentialsError(
            f"the AWS credentials have expired ({code})",
            why=message,
            fix="sign in again, such as with 'aws sso login'",
        )
    if code in SKEWED or "Signature expired" in message or "Signature not yet current" in message:
        return CredentialsError(
            f"AWS refused {call} because this machine's clock is wrong ({code}: clock skew)",
            why=message,
            fix="set the clock (timedatectl set-ntp true), then run it again",
        )
    if code in UNKNOWN_KEYS:
        return CredentialsError(
            f"AWS doesn't accept these credentials ({code})", why=message, fix=f"check the keys; {LOOKED_IN}"
        )
    if code in DENIED or (status_of(error) == 403 and code != "ModelError"):
        return _denied(service, operation, message)
    return _refused(error, call, code, message)


def no_region() -> CredentialsError:
    """No region was given and none is to be found."""
    return CredentialsError(
        "no AWS region is set",
        why="boto3 looks in the option region, AWS_DEFAULT_REGION and the profile in ~/.aws/config",
        fix="give region='eu-west-1' or set AWS_DEFAULT_REGION",
    )


def _denied(service: str, operation: str, message: str) -> CredentialsError:
    does = _DOES.search(message)
    actions = [does[1]] if does else list(iam_actions(service, operation))
    resource = (does[2] if does else None) or "*"
    found = _WHO.search(message)
    who = found[1] if found else "the caller"
    statement = json.dumps({"Effect": "Allow", "Action": actions, "Resource": resource})
    return CredentialsError(
        f"no permission for {', '.join(actions)}: {who} may not call {service}.{operation}",
        why=message,
        fix=f"add this statement to the IAM policy of {who}: {statement}",
    )


def _refused(error: Exception, call: str, code: str, message: str) -> CloudDeployError:
    if is_throttled(error):
        return Throttled(
            f"AWS throttled {call}, and kept on doing so",
            why=message,
            fix="wait a minute, then run it again",
            code=code,
            operation=call,
        )
    if code in QUOTA:
        return QuotaExceeded(
            f"a limit of the AWS account is reached: {message}",
            why=message,
            fix="ask for more in the Service Quotas console, or choose another machine type or fewer copies",
            code=code,
            operation=call,
        )
    if "ParamValidationError" in _names(error):
        return InputError(
            f"boto3 refused the parameters of {call}: {message}", why=message, fix="mend the value it names"
        )
    if is_lost(error):
        return CloudError(
            f"AWS can't be reached for {call}: {message}",
            why=message,
            fix="check the network, the region and the endpoint URL, then run it again",
            code=code,
            operation=call,
        )
    return CloudError(
        f"AWS refused {call}: {code}: {message}",
        why=message,
        fix="mend the cause, then run it again",
        code=code,
        operation=call,
    )
