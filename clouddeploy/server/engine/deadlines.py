"""For how long a client waits."""

from __future__ import annotations

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import TIMEOUT

LONGEST_MS = 24 * 3600 * 1000


def seconds_of(text: str) -> float:
    """The seconds in a header ``x-timeout-ms``.

    Raises:
        WireError: ``bad_request``: no whole number of milliseconds from 1 up to a day.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 8 and 0 < int(text) <= LONGEST_MS):
        raise WireError(
            "bad_request",
            f"the header {TIMEOUT} is {text[:20]!r}",
            f"send a whole number of milliseconds from 1 to {LONGEST_MS}",
        )
    return int(text) / 1000
