"""Lambda's Python runtimes, and until when they are looked after.

Lambda Developer Guide, "Lambda runtimes", as of June 2026. A runtime that isn't in the table may be
newer than it: that is told and never refused.
"""

from __future__ import annotations

import re
from datetime import date

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import SpecError

DEPRECATED = {
    "python2.7": date(2021, 7, 15),
    "python3.6": date(2022, 7, 18),
    "python3.7": date(2023, 12, 4),
    "python3.8": date(2024, 10, 14),
    "python3.9": date(2025, 12, 15),
    "python3.10": date(2026, 10, 31),
    "python3.11": date(2027, 6, 30),
    "python3.12": date(2028, 10, 31),
    "python3.13": date(2029, 6, 30),
    "python3.14": date(2029, 6, 30),
}
"""When each is deprecated: no longer patched, and some months later not taken for new functions."""
NEWEST = "python3.14"
SNAP_START_FROM = (3, 12)
"""Lambda Developer Guide, "Improving startup performance with Lambda SnapStart"."""


def version_of(runtime: str) -> tuple[int, int]:
    """``"python3.13"`` -> ``(3, 13)``.

    Raises:
        SpecError: it is no Python runtime's name.
    """
    found = re.fullmatch(r"python(\d)\.(\d{1,2})", runtime)
    if not found:
        raise SpecError(
            f"runtime is {runtime!r}",
            why="allowed: a Python runtime of Lambda, such as 'python3.13'",
            fix=f"give one of {', '.join(list(DEPRECATED)[-4:])}, or an image",
        )
    return int(found[1]), int(found[2])


def finding(runtime: str, today: date) -> Finding | None:
    """What there is to tell about `runtime` on the day `today`."""
    version_of(runtime)
    end = DEPRECATED.get(runtime)
    if end is None:
        return Finding(
            "runtime",
            "approximated",
            f"{runtime} isn't among the runtimes known here (the newest is {NEWEST}), so AWS may refuse it",
            f"take {NEWEST} if it does",
        )
    if today < end:
        return None
    return Finding(
        "runtime",
        "approximated",
        f"Lambda deprecated {runtime} on {end}: it gets no patches, and new functions will be refused",
        f"take {NEWEST}",
    )
