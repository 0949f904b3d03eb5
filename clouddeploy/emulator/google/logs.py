"""Cloud Logging: what instances and builds write, and what was requested (entries of API v2).

JSON lines are read as Cloud Run's agent does ("Structured logging", Cloud Logging documentation):
``severity``, ``message``, ``httpRequest``, and the special ``logging.googleapis.com/…`` fields.
"""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from clouddeploy.emulator.google.call import Call, now, part
from clouddeploy.emulator.google.filters import SEVERITIES, compile_filter
from clouddeploy.emulator.google.listing import page

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

KEPT = 50_000
MESSAGES = {"ListLogEntriesRequest": "resourceNames:[] projectIds:[] filter orderBy pageSize:int pageToken"}
Write = Callable[[str, str], None]
SPECIAL = "logging.googleapis.com/"


class Logs:
    """The newest entries of all projects."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = itertools.count()

    def add(self, log: str, resource: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
        """Write an entry.

        Args:
            log: ``projects/…/logs/…``.
            resource: the monitored resource.
            entry: everything else; what is missing is filled in.
        """
        at = now()
        with self._lock:
            full = {
                "insertId": f"{next(self._count):016x}{uuid.uuid4().hex[:8]}",
                "timestamp": at,
                "receiveTimestamp": at,
                "logName": log,
                "resource": dict(resource),
                **entry,
            }
            self._entries.append(full)

    def writer(self, revision: str) -> Write:
        """What a revision's instances write with; lines with a severity are Cloud Run's own."""
        resource = resource_of(revision)
        project = part(revision, "projects")

        def write(severity: str, text: str) -> None:
            stream = "stdout" if severity == "DEFAULT" else "varlog/system"
            log = f"projects/{project}/logs/{quote(f'run.googleapis.com/{stream}', safe='')}"
            self.add(log, resource, parsed(text, severity))

        return write

    def build_writer(self, project: str, region: str, build: str) -> Write:
        """What a build writes its lines with."""
        labels = {"build_id": build, "project_id": project, "build_trigger_id": ""}
        resource = {"type": "build", "labels": labels}
        log = f"projects/{project}/logs/cloudbuild"

        def write(severity: str, text: str) -> None:
            level = {} if severity == "DEFAULT" else {"severity": severity}
            self.add(log, resource, {"textPayload": text, "labels": {"build_step": "MAIN"}, **level})

        return write

    def find(self, project: str, filter_text: str, *, descending: bool) -> list[dict[str, Any]]:
        """A project's entries that pass the filter, by time."""
        test = compile_filter(filter_text)
        with self._lock:
            known = list(self._entries)
        start = f"projects/{project}/"
        found = [e for e in known if e["logName"].startswith(start) and test(e)]
        return sorted(found, key=lambda e: str(e["timestamp"]), reverse=descending)

    def drop(self, log: str) -> None:
        """Delete a log's entries."""
        with self._lock:
            kept = [e for e in self._entries if e["logName"] != log]
            self._entries.clear()
            self._entries.extend(kept)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()


def resource_of(revision: str) -> dict[str, Any]:
    """The monitored resource of a revision, by its full name."""
    project, region, service, short = revision.split("/")[1::2]
    labels = {
        "project_id": project,
        "location": region,
        "service_name": service,
        "configuration_name": service,
        "revision_name": short,
    }
    return {"type": "cloud_run_revision", "labels": labels}


def parsed(text: str, severity: str = "DEFAULT") -> dict[str, Any]:
    """An entry's fields by one line of output."""
    payload = _json(text)
    if payload is None:
        level = {"severity": severity} if severity not in ("DEFAULT", "") else {}
        return {"textPayload": text, **level}
    found: dict[str, Any] = {}
    told = str(payload.pop("severity", "")).upper()
    if told in SEVERITIES:
        found["severity"] = told
    for field in ("trace", "spanId", "insertId"):
        if f"{SPECIAL}{field}" in payload:
            found[field] = payload.pop(f"{SPECIAL}{field}")
    if f"{SPECIAL}trace_sampled" in payload:
        found["traceSampled"] = bool(payload.pop(f"{SPECIAL}trace_sampled"))
    for field in ("labels", "operation", "sourceLocation"):
        if isinstance(payload.get(f"{SPECIAL}{field}"), dict):
            found[field] = payload.pop(f"{SPECIAL}{field}")
    for field in ("httpRequest", "timestamp"):
        if isinstance(payload.get(field), dict if field == "httpRequest" else str):
            found[field] = payload.pop(field)
    if set(payload) == {"message"}:
        return {**found, "textPayload": str(payload["message"])}
    return {**found, "jsonPayload": payload}


def _json(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def list_entries(cloud: Google, call: Call) -> dict[str, Any]:
    """``entries.list``"""
    body = call.body
    projects = [part(n, "projects") for n in body.get("resourceNames", ())] + body.get("projectIds", [])
    descending = body.get("orderBy", "timestamp asc").endswith("desc")
    found = [
        entry
        for project in dict.fromkeys(projects)
        for entry in cloud.logs.find(project, body.get("filter", ""), descending=descending)
    ]
    return page(call, "entries", found, size=body.get("pageSize"), token=body.get("pageToken", ""))


def delete_log(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.logs.delete``"""
    cloud.logs.drop(call.name)
    return {}
