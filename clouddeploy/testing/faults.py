"""Breaks the n-th call of a provider's seam, in one of the ways in which clouds break."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Transport = Callable[[str, str, Mapping[str, Any]], Any]
Call = tuple[str, str]


class Fault(StrEnum):
    """How a call breaks."""

    REFUSED = "refused"
    """The cloud denies the permission; nothing happened."""
    THROTTLED = "throttled"
    """The cloud asks to slow down; nothing happened."""
    SERVER_ERROR = "server-error"
    """The cloud fails with a 500; nothing happened."""
    RESET = "reset"
    """The connection breaks before the request arrives."""
    LOST = "lost"
    """The request takes effect, and its answer is lost."""
    KILLED = "killed"
    """The process dies by SIGKILL before the request is sent."""
    KILLED_AFTER = "killed-after"
    """The process dies by SIGKILL when the request has taken effect."""


SURVIVABLE = tuple(f for f in Fault if not f.value.startswith("killed"))


MakeError = Callable[[Fault, str, str], Exception]
"""(fault, service, operation) -> what the cloud's own client raises for it."""


def aws_error(fault: Fault, service: str, operation: str) -> Exception:
    """What boto3 raises."""
    from botocore.exceptions import ClientError

    codes = {
        Fault.REFUSED: ("AccessDeniedException", 403),
        Fault.THROTTLED: ("ThrottlingException", 400),
        Fault.SERVER_ERROR: ("InternalFailure", 500),
    }
    if fault not in codes:
        return ConnectionResetError(104, f"injected: connection reset during {service}.{operation}")
    code, status = codes[fault]
    error: Exception = ClientError(
        {
            "Error": {"Code": code, "Message": f"injected: {fault} at {service}.{operation}"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        operation,
    )
    return error


def google_error(fault: Fault, service: str, operation: str) -> Exception:
    """What Google's clients raise."""
    from google.api_core import exceptions

    codes: dict[Fault, type[Exception]] = {
        Fault.REFUSED: exceptions.Forbidden,
        Fault.THROTTLED: exceptions.TooManyRequests,
        Fault.SERVER_ERROR: exceptions.InternalServerError,
    }
    if fault not in codes:
        return ConnectionResetError(104, f"injected: connection reset during {service}.{operation}")
    return codes[fault](f"injected: {fault} at {service}.{operation}")


RETRIED = (Fault.THROTTLED, Fault.SERVER_ERROR, Fault.RESET, Fault.LOST)


def _identity(service: str, operation: str, params: Mapping[str, Any]) -> str:
    plain = {k: v for k, v in params.items() if isinstance(v, str | int | bool)}
    return f"{service}.{operation} {sorted(plain.items())}"


@dataclass
class Faulty:
    """A transport that passes calls on, remembers them, and breaks the one with the number `at`.

    Args:
        inner: the transport that makes the calls.
        at: number of the call that breaks, from 0; -1 for none.
        fault: how it breaks.
        times: how many attempts of that call break, where the fault is one that is worth a retry;
            1 is a passing fault, more than the seam's attempts a lasting one.
        error: makes what is raised.
    """

    inner: Transport
    at: int = -1
    fault: Fault = Fault.REFUSED
    times: int = 1
    error: MakeError = aws_error
    calls: list[Call] = field(default_factory=list)
    broken: Call | None = None
    _left: int = field(default=0, repr=False)
    _identity: str = field(default="", repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def _breaks(self, service: str, operation: str, params: Mapping[str, Any]) -> bool:
        with self._guard:
            self.calls.append((service, operation))
            if len(self.calls) - 1 == self.at:
                self.broken, self._identity = (service, operation), _identity(service, operation, params)
                self._left = self.times if self.fault in RETRIED else 1
            if self._left and _identity(service, operation, params) == self._identity:
                self._left -= 1
                return True
            return False

    def __call__(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if not self._breaks(service, operation, params):
            return self.inner(service, operation, params)
        if self.fault is Fault.KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault in (Fault.LOST, Fault.KILLED_AFTER):
            with contextlib.suppress(Exception):  # a refusal is an answer too, and doesn't arrive
                self.inner(service, operation, params)
        if self.fault is Fault.KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        raise self.error(self.fault, service, operation)


def losing_once(provider: Any, chosen: Callable[[str], bool]) -> set[str]:
    """Make the first answer to each chosen operation of an AWS provider get lost.

    Returns:
        The operations whose answer was lost so far; it grows while the provider works.
    """
    lost: set[str] = set()
    inner: Transport = provider.aws.transport

    def losing(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        answer = inner(service, operation, params)
        if chosen(operation) and operation not in lost:
            lost.add(operation)
            raise ConnectionResetError("the answer was lost")
        return answer

    provider.aws.transport = losing
    return lost
