"""Listings in pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from clouddeploy.emulator.google.storage.answers import Refusal

Item = TypeVar("Item")
MOST = 1000


def page(
    items: Sequence[Item], name: Callable[[Item], str], query: Mapping[str, str]
) -> tuple[list[Item], str]:
    """One page of items sorted by name, and the token of the next; empty after the last.

    Raises:
        Refusal: 400, a parameter makes no sense.
    """
    after = decode(query.get("pageToken", ""))
    size = query.get("maxResults") or str(MOST)
    if not size.isdigit() or int(size) < 1:
        raise Refusal(400, f"Invalid value for maxResults: {size!r}")
    left = [item for item in items if name(item) > after] if after else list(items)
    chosen = left[: min(int(size), MOST)]
    return chosen, encode(name(chosen[-1])) if len(left) > len(chosen) else ""


def encode(name: str) -> str:
    """The token of the page after `name`."""
    return base64.urlsafe_b64encode(name.encode()).decode()


def decode(token: str) -> str:
    """The name after which a page begins.

    Raises:
        Refusal: 400, it is no token of ours.
    """
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError):
        raise Refusal(400, f"Invalid value for pageToken: {token!r}") from None
