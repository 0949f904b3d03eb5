"""Every error that clouddeploy raises on purpose.

Sorted by what the caller can do about it; each class carries its exit code for the command line.

    CloudDeployError                 1
    ├── SpecError        ValueError  2   mend the request
    │   ├── ConfigError                  ... in clouddeploy.toml
    │   ├── ModelError                   ... the model file, its handler or its requirements
    │   │   ├── UnsafeModel              a file that would execute code when loaded
    │   │   └── ModelChanged             its bytes differ from those the plan was made for
    │   ├── HandlerError                 the handler can't be imported, loaded or called
    │   ├── InputError                   the data given to predict
    │   └── NotSupported                 the target can't do what was asked (only with strict)
    ├── CredentialsError PermissionError 3   mend the credentials, the region or the permissions
    ├── TargetError      LookupError 4   pick another target, or install what it needs
    ├── NotFound         LookupError 5   nothing of that name is there
    ├── NameConflict                 6   something of that name is there and is not ours
    ├── DeploymentLocked             7   wait for the other deploy, then run it again
    │   └── PlanOutdated                 it was changed since the plan was made; nothing was done
    ├── CloudError                   8   the cloud refused or failed: see the cause, run it again
    │   ├── Throttled                    it asked us to slow down, and kept asking
    │   ├── QuotaExceeded                a limit of the account is reached
    │   └── PredictionError              the endpoint answered with an error
    ├── Timeout          TimeoutError 9  it did not finish in time; running it again continues
    ├── DeployFailed                 10  undone; nothing left behind
    ├── LeftBehind                   11  clean up by hand: lists each thing and its command
    └── Interrupted                  130 Ctrl-C; undone as far as told
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class CloudDeployError(Exception):
    """What happened, why, and how to mend it.

    Args:
        what: what happened, with the offending value.
        why: the reason, where it is known.
        fix: what the reader can do now, as an imperative sentence or a command.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """The error as the command line's ``--json`` prints it."""
        return {
            "error": {
                "code": type(self).__name__,
                "message": self.what,
                "why": self.why,
                "fix": self.fix,
                "exit_code": self.exit_code,
            }
        }


class SpecError(CloudDeployError, ValueError):
    """The request itself is wrong; nothing was created."""

    exit_code = 2


class ConfigError(SpecError):
    """``clouddeploy.toml`` can't be read or holds something unknown or wrong."""


class ModelError(SpecError):
    """The model file, or what belongs to it, can't be used."""


class UnsafeModel(ModelError):
    """Loading the file would execute code from it."""


class ModelChanged(ModelError):
    """The model's bytes are not those that the plan was made for."""


class HandlerError(SpecError):
    """The handler can't be imported, loaded or called."""


class InputError(SpecError):
    """The data given to ``predict`` doesn't fit the model's signature.

    Args:
        code: machine-readable reason, as in the wire contract.
        status: the HTTP status that the endpoint answered or would answer.
    """

    def __init__(
        self, what: str, *, why: str = "", fix: str = "", code: str = "bad_input", status: int = 400
    ) -> None:
        super().__init__(what, why=why, fix=fix)
        self.code = code
        self.status = status


class NotSupported(SpecError):
    """The target can't do what was asked, and ``strict`` was given."""


class CredentialsError(CloudDeployError, PermissionError):
    """Credentials or region are missing or expired, or a permission is lacking."""

    exit_code = 3


class TargetError(CloudDeployError, LookupError):
    """The target is unknown, or what it needs isn't installed."""

    exit_code = 4


class NotFound(CloudDeployError, LookupError):
    """No deployment of that name is there."""

    exit_code = 5


class NameConflict(CloudDeployError):
    """A resource of that name exists and doesn't belong to this deployment."""

    exit_code = 6


class DeploymentLocked(CloudDeployError):
    """Another deploy of the same name is under way."""

    exit_code = 7


class PlanOutdated(DeploymentLocked):
    """The deployment was changed since the plan was made; nothing was done."""


class CloudError(CloudDeployError):
    """The cloud refused a call, or failed while it served one.

    Args:
        code: the provider's own error code, such as ``ValidationException``.
        operation: the call, such as ``sagemaker.CreateModel``.
        log_tail: the last log lines of what failed, when they could be had.
    """

    exit_code = 8

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        code: str = "",
        operation: str = "",
        log_tail: Sequence[str] = (),
    ) -> None:
        super().__init__(what, why=why, fix=fix)
        self.code = code
        self.operation = operation
        self.log_tail = tuple(log_tail)


class Throttled(CloudError):
    """The cloud asked us to slow down, and still did after every retry."""


class QuotaExceeded(CloudError):
    """A limit of the account is reached."""


class PredictionError(CloudError):
    """The endpoint answered a prediction request with an error of its own (5xx).

    Args:
        status: the status that the model's process answered.
        log_tail: the last log lines, when they could be had.
    """

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        code: str = "internal",
        operation: str = "",
        status: int = 500,
        log_tail: Sequence[str] = (),
    ) -> None:
        super().__init__(what, why=why, fix=fix, code=code, operation=operation, log_tail=log_tail)
        self.status = status


class Timeout(CloudDeployError, TimeoutError):
    """A deadline passed while waiting; this is no verdict on what was waited for."""

    exit_code = 9


class DeployFailed(CloudDeployError):
    """A deploy failed and was undone.

    Args:
        undone: what was removed or restored, one line each.
        log_tail: the last log lines of what failed, oldest first.
        left: what could not be removed, as ``(resource, command that removes it)``.
        unrestored: resources that were there before and could not be put back as they were.
    """

    exit_code = 10

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        undone: Sequence[str] = (),
        log_tail: Sequence[str] = (),
        left: Sequence[tuple[str, str]] = (),
        unrestored: Sequence[str] = (),
    ) -> None:
        super().__init__(what, why=why, fix=fix)
        self.undone = tuple(undone)
        self.log_tail = tuple(log_tail)
        self.left = tuple(left)
        self.unrestored = tuple(unrestored)

    def __str__(self) -> str:
        lines = [super().__str__()]
        if self.undone:
            lines.append("  undone: " + "; ".join(self.undone))
        if self.log_tail:
            lines.append("  last log lines:")
            lines += [f"    {line}" for line in self.log_tail]
        if self.unrestored:
            lines.append("  changed and not put back: " + "; ".join(self.unrestored))
        if self.left:
            lines.append("  left behind:")
            lines += [f"    {name}\n      remove it with: {command}" for name, command in self.left]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """The error as the command line's ``--json`` prints it, with what was undone and what is left."""
        shape = super().as_dict()
        inner = shape["error"]
        assert isinstance(inner, dict)
        inner["undone"] = list(self.undone)
        inner["left"] = [{"resource": name, "command": command} for name, command in self.left]
        inner["unrestored"] = list(self.unrestored)
        inner["log_tail"] = list(self.log_tail)
        return shape


class LeftBehind(DeployFailed):
    """Something could not be undone or removed; `left` and `unrestored` say what."""

    exit_code = 11


class Interrupted(DeployFailed):
    """Ctrl-C stopped the deploy; what it had done was undone as far as ``undone`` says."""

    exit_code = 130
