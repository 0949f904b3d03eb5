"""Which route a request takes.

"Working with routes for HTTP APIs" (API Gateway Developer Guide): the most specific match wins: the full
path with its method, then a path with variables, then a greedy variable, then ``$default``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from clouddeploy.emulator.backends.http_apis import Route

DEFAULT = "$default"
VARIABLE = re.compile(r"\{([^{}+]+)(\+?)\}")


def select(routes: Iterable[Route], method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route for a request and the values of its path variables; None when there is none.

    Args:
        path: as it was sent, percent-encoded, without the stage.
    """
    found: list[tuple[tuple[object, ...], Route, dict[str, str]]] = []
    for route in routes:
        if route.key == DEFAULT:
            found.append(((2,), route, {}))
            continue
        wanted, _, pattern = route.key.partition(" ")
        match = _pattern(pattern).fullmatch(path.rstrip("/") or "/")
        if match is None or wanted not in ("ANY", method):
            continue
        names = [name for name, _ in VARIABLE.findall(pattern)]
        values = {name: unquote(value) for name, value in zip(names, match.groups(), strict=True)}
        found.append(((1 if "+}" in pattern else 0, *_rank(pattern), wanted == "ANY"), route, values))
    best = min(found, key=lambda item: item[0], default=None)
    return None if best is None else (best[1], best[2])


def _rank(pattern: str) -> tuple[int, int]:
    """Fewer variables first, and of two with as many the longer one."""
    return len(VARIABLE.findall(pattern)), -len(pattern.split("/"))


def _pattern(pattern: str) -> re.Pattern[str]:
    pieces, at = [], 0
    for match in VARIABLE.finditer(pattern):
        pieces += [re.escape(pattern[at : match.start()]), "(.+)" if match[2] else "([^/]+)"]
        at = match.end()
    text = "".join(pieces) + re.escape(pattern[at:])
    return re.compile(text.rstrip("/") or "/")
