"""The Python runtimes of Cloud Functions, as data with dates.

Cloud Run functions documentation, "Runtime support", as of November 2026. A runtime that isn't in the
table may be newer than it: that is told and never refused.
"""

from __future__ import annotations

import re
from datetime import date

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import SpecError

DEPRECATED = {
    "python38": date(2024, 10, 14),
    "python39": date(2025, 10, 5),
    "python310": date(2026, 10, 4),
    "python311": date(2027, 10, 24),
    "python312": date(2028, 10, 2),
    "python313": date(2029, 10, 10),
    "python314": date(2030, 10, 10),
}
"""When each is deprecated: the end of security fixes for that Python."""
NEWEST = "python314"


def python_of(runtime: str) -> str:
    """``"python313"`` -> ``"3.13"``.

    Raises:
        SpecError: it is no Python runtime's name.
    """
    found = re.fullmatch(r"python(3)(\d{1,2})", runtime)
    if not found:
        known = ", ".join(list(DEPRECATED)[-4:])
        raise SpecError(
            f"runtime is {runtime!r}",
            why="allowed: a Python runtime of Cloud Functions, such as 'python313'",
            fix=f"give one of {known}",
        )
    return f"{found[1]}.{found[2]}"


def finding(runtime: str, today: date) -> Finding | None:
    """What there is to tell about `runtime` on the day `today`."""
    python_of(runtime)
    end = DEPRECATED.get(runtime)
    if end is None:
        return Finding(
            "runtime",
            "approximated",
            f"{runtime} isn't among the runtimes known here (newest: {NEWEST}), so Google may refuse it",
            f"take {NEWEST} if it does",
        )
    if today < end:
        return None
    return Finding(
        "runtime",
        "approximated",
        f"Google deprecated {runtime} on {end}: it gets no patches, and new functions may be refused",
        f"take {NEWEST}",
    )
