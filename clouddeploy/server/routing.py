"""Which code answers which path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.exchange import Exchange

Endpoint = Callable[[Exchange], Awaitable[None] | None]
"""Answers an exchange: at once, later from the loop, or as a coroutine."""


@dataclass(frozen=True)
class Route:
    """An endpoint and what the pattern's placeholders hold."""

    endpoint: Endpoint
    values: dict[str, str]


class NotAllowed(WireError):
    """A method that a path doesn't take.

    Args:
        message: what is wrong.
        methods: that it takes.
    """

    def __init__(self, message: str, methods: list[str]) -> None:
        super().__init__("method_not_allowed", message, f"use {' or '.join(methods)}")
        self.allow = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])


class Routes:
    """The endpoints by method and path.

    A pattern is a path in which ``{name}`` stands for anything but a slash or a colon.
    """

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Endpoint]] = []
        self._texts: dict[tuple[str, re.Pattern[str]], str] = {}

    def add(self, method: str, pattern: str, endpoint: Endpoint) -> None:
        """Let `endpoint` answer `method` on `pattern`; GET answers HEAD too."""
        if "{" not in pattern:
            self._exact[method, pattern] = Route(endpoint, {})
            return
        parts = re.split(r"\{(\w+)\}", pattern)
        text = "".join(
            re.escape(part) if i % 2 == 0 else f"(?P<{part}>[^/:]+)" for i, part in enumerate(parts)
        )
        compiled = re.compile(text)
        self._patterns.append((method, compiled, endpoint))
        self._texts[method, compiled] = pattern

    def find(self, method: str, path: str) -> Route:
        """The route for a request.

        Raises:
            WireError: ``not_found`` or ``method_not_allowed``.
        """
        route = self._exact.get((method, path))
        if route is not None:
            return route
        if method == "HEAD":
            return self.find("GET", path)
        for wanted, pattern, endpoint in self._patterns:
            found = pattern.fullmatch(path) if wanted == method else None
            if found:
                return Route(endpoint, found.groupdict())
        allowed = self.allowed(path)
        if allowed:
            raise NotAllowed(f"{path[:200]} doesn't take {method}", allowed)
        raise WireError("not_found", f"there is nothing at {path[:200]}", "see /docs for what there is")

    def allowed(self, path: str) -> list[str]:
        """The methods that `path` takes."""
        exact = {method for method, known in self._exact if known == path}
        return sorted(exact | {method for method, pattern, _ in self._patterns if pattern.fullmatch(path)})

    def pattern_of(self, method: str, path: str) -> str:
        """The pattern whose endpoint answers such a request; empty when there is none."""
        method = "GET" if method == "HEAD" and (method, path) not in self._exact else method
        if (method, path) in self._exact:
            return path
        for wanted, pattern, _ in self._patterns:
            if wanted == method and pattern.fullmatch(path):
                return self._texts[method, pattern]
        return ""
