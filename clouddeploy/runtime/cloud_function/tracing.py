"""Which trace a request belongs to.

``traceparent`` is W3C's ("Trace Context", version 00); ``X-Cloud-Trace-Context`` is Google's older
``TRACE_ID/SPAN_ID;o=OPTIONS`` ("Cloud Trace: Trace context"), with the span's number in decimals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_GOOGLE = re.compile(r"([0-9a-fA-F]{32})(?:/(\d{1,20}))?(?:;o=(\d))?")
_NONE = "0" * 32


@dataclass(frozen=True)
class Trace:
    """A request's trace.

    Args:
        id: 32 hex digits.
        span: 16 hex digits, or empty.
        sampled: whether the caller keeps it.
    """

    id: str
    span: str = ""
    sampled: bool = False


def trace_of(traceparent: str, google: str) -> Trace | None:
    """The trace that the two headers name; the first is believed where both do, and none where neither."""
    found = _PARENT.fullmatch(traceparent.strip()) if traceparent else None
    if found and found[1] != _NONE:
        return Trace(found[1], found[2], bool(int(found[3], 16) & 1))
    found = _GOOGLE.fullmatch(google.strip()) if google else None
    if found and found[1] != _NONE:
        span = f"{int(found[2]) & (2**64 - 1):016x}" if found[2] else ""
        return Trace(found[1].lower(), span, found[3] == "1")
    return None
