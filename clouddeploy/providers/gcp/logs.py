"""Cloud Logging: the last lines of a Cloud Run service, and what a build said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from clouddeploy.errors import CloudDeployError
from clouddeploy.providers.gcp.client import Gcp

PAGE: Final = 1000
"""Entries a page at most (Cloud Logging API reference, entries.list)."""


def tail(gcp: Gcp, service: str, *, since_s: float, limit: int, revision: str = "") -> Iterator[str]:
    """The last `limit` lines of a Cloud Run service in the past `since_s` seconds, oldest first.

    Args:
        gcp: the seam.
        service: its id, in the seam's region.
        since_s: seconds to look back.
        limit: lines at most.
        revision: only of this revision, by name.
    """
    chosen = [
        'resource.type="cloud_run_revision"',
        f'resource.labels.service_name="{service}"',
        f'resource.labels.location="{gcp.region}"',
    ]
    if revision:
        chosen.append(f'resource.labels.revision_name="{revision}"')
    return _tail(gcp, " AND ".join(chosen), since_s, limit)


def last_lines(
    gcp: Gcp, service: str, *, revision: str = "", limit: int = 20, since_s: float = 3600.0
) -> tuple[str, ...]:
    """As `tail`, for an error's text: what can't be read is told as a line of its own."""
    return _readable(lambda: tail(gcp, service, since_s=since_s, limit=limit, revision=revision))


def build_lines(gcp: Gcp, build: str, *, limit: int = 40, since_s: float = 86400.0) -> tuple[str, ...]:
    """The last lines of a build, by the name that an operation's metadata gives (``buildName``)."""
    chosen = f'resource.type="build" AND resource.labels.build_id="{build.rpartition("/")[2]}"'
    return _readable(lambda: _tail(gcp, chosen, since_s, limit))


def _readable(read: Callable[[], Iterator[str]]) -> tuple[str, ...]:
    try:
        return tuple(read())
    except CloudDeployError as error:
        return (f"(the logs can't be read: {error.what})",)


def _tail(gcp: Gcp, chosen: str, since_s: float, limit: int) -> Iterator[str]:
    since = datetime.now(UTC) - timedelta(seconds=since_s)
    # The newest come first, so that no more pages are asked for than are needed.
    asked: dict[str, Any] = {
        "resourceNames": [f"projects/{gcp.project}"],
        "filter": f'{chosen} AND timestamp>="{since.isoformat(timespec="milliseconds")}"',
        "orderBy": "timestamp desc",
        "pageSize": max(1, min(PAGE, limit)),
    }
    entries = gcp.pages("logging", "ListEntries", "entries", **asked)
    yield from reversed([text_of(entry) for entry in islice(entries, limit)])


def text_of(entry: Mapping[str, Any]) -> str:
    """One line for an entry: its text, else its message, its request, or its fields as JSON."""
    if "textPayload" in entry:
        return str(entry["textPayload"]).rstrip("\n")
    found = entry.get("jsonPayload") or entry.get("protoPayload") or {}
    if isinstance(found, Mapping) and isinstance(found.get("message"), str):
        return str(found["message"])
    if not found and entry.get("httpRequest"):
        return _request(entry["httpRequest"])
    return json.dumps(found, sort_keys=True)


def _request(request: Mapping[str, Any]) -> str:
    """``POST /predict 200 12 ms``: an entry of the request log (Cloud Logging API, ``HttpRequest``).

    The query is left out: it may hold what isn't for a screen.
    """
    told = [str(request.get("requestMethod", "")), urlsplit(str(request.get("requestUrl", ""))).path or "/"]
    told.append(str(request.get("status", "")))
    latency = str(request.get("latency", "")).removesuffix("s")
    try:
        told.append(f"{float(latency) * 1000:.0f} ms")
    except ValueError:
        told.append("unknown latency")
    return " ".join(filter(None, told))
