"""Transports that lose answers or break connections, around the one that works."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.api_core.exceptions import GoogleAPICallError

from clouddeploy.providers.gcp.client import Gcp


@dataclass
class Losing:
    """Loses the first answers to a method, after it took effect; remembers the methods called.

    Args:
        gcp: the seam that it is put into.
        method: whose answers are lost.
        times: how many.
        error: what is raised instead.
    """

    gcp: Gcp
    method: str
    times: int = 1
    error: Exception = field(default_factory=lambda: ConnectionResetError("the answer was lost"))
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._inner = self.gcp.transport
        self.gcp.transport = self

    def __call__(self, service: str, method: str, params: Mapping[str, Any]) -> Any:
        self.calls.append(method)
        if method != self.method or not self.times:
            return self._inner(service, method, params)
        self.times -= 1
        with contextlib.suppress(GoogleAPICallError):  # a refusal is an answer too, and doesn't arrive
            self._inner(service, method, params)
        raise self.error


@dataclass
class Denying:
    """Refuses a method before it has an effect."""

    gcp: Gcp
    method: str
    error: Exception

    def __post_init__(self) -> None:
        self._inner = self.gcp.transport
        self.gcp.transport = self

    def __call__(self, service: str, method: str, params: Mapping[str, Any]) -> Any:
        if method == self.method:
            raise self.error
        return self._inner(service, method, params)
