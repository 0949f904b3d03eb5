"""Pages of a listing (AIP-158)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from clouddeploy.emulator.google.call import Call
from clouddeploy.emulator.google.errors import invalid

PAGE = 100
MOST = 1000


def page(
    call: Call, field: str, items: Sequence[Any], *, size: str | int | None = None, token: str | None = None
) -> dict[str, Any]:
    """One page of `items` under `field`, and the token of the next.

    Args:
        size: of the page, when it isn't in the query.
        token: likewise.

    Raises:
        ApiError: the page token isn't one of ours.
    """
    wished = int(size or call.query.get("pageSize") or 0) or PAGE
    count = min(wished, MOST)
    start = _start(token if token is not None else call.query.get("pageToken", ""))
    found: dict[str, Any] = {field: list(items[start : start + count])} if items else {}
    if start + count < len(items):
        found["nextPageToken"] = base64.urlsafe_b64encode(str(start + count).encode()).decode()
    return found


def _start(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise invalid("The page token is invalid.", "page_token") from None
