"""Headers that proxies and tracers add to a request, told apart from those that say how it is read."""

from __future__ import annotations

import re

TEXT = rb"[\t\x20-\x7e\x80-\xff]"
PASSING = re.compile(
    rb"\r\n(authorization|b3|baggage|cf-ray|cookie|forwarded|traceparent|tracestate|x-amzn-trace-id"
    rb"|x-b3-[a-z]+|x-cloud-trace-context|x-correlation-id|x-forwarded-for|x-real-ip|x-request-id)"
    rb":(" + TEXT + rb"*)(?=\r\n)",
    re.I,
)
"""Headers that differ from request to request and say nothing of how it is read. They end where a line
ends, so what is left of a head without them is a head."""
