"""Lambda's payload limits ("Lambda quotas": invocation payload, 6 MB each for request and response)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clouddeploy.runtime.errors import WireError

PAYLOAD_LIMIT = 6_291_456
"""Bytes of a request's or a response's payload, the event's envelope included."""

_MOST_BYTES_A_BYTE = 6
"""A byte of text takes at the most six in JSON: an escape."""


_NUMBER = 28
"""Bytes of the longest number and what divides it from the next."""


def check_body(body: bytes) -> None:
    """See that `body` is no more than Lambda takes.

    Raises:
        WireError: ``too_large``.
    """
    if len(body) > PAYLOAD_LIMIT:
        raise WireError(
            "too_large",
            f"the body has {len(body)} bytes; Lambda takes at most {PAYLOAD_LIMIT}",
            "send fewer examples in one request",
        )


def check_object(found: Mapping[str, Any]) -> None:
    """As `check_response`, for predictions as lists of one shape: few numbers need no writing out to know.

    Raises:
        WireError: as `check_response`.
    """
    (value,) = found.values()
    count, depth = 1, 1
    while isinstance(value, list) and value:
        count, depth, value = count * len(value), depth + 1, value[0]
    if isinstance(value, int | float) and count * (_NUMBER + 4 * depth) < PAYLOAD_LIMIT:
        return
    check_response(found)


def check_response(response: Any, body_bytes: int | None = None) -> None:
    """See that Lambda will take `response`; the platform's own error would have no reason.

    Args:
        response: what the handler returns.
        body_bytes: bytes of the body in it; when they can't be too many, that is all that is looked at.

    Raises:
        WireError: ``too_large``, or ``bad_prediction``: it holds text that is no Unicode.
    """
    if body_bytes is not None and body_bytes < PAYLOAD_LIMIT // _MOST_BYTES_A_BYTE - 65_536:
        return
    try:
        size = max(len(json.dumps(response)), len(json.dumps(response, ensure_ascii=False).encode()))
    except UnicodeEncodeError as error:
        raise WireError(
            "bad_prediction", "the predictions hold half a surrogate pair, no text", "see the handler"
        ) from error
    if size > PAYLOAD_LIMIT:
        raise WireError(
            "too_large",
            f"the answer has {size} bytes; Lambda returns at most {PAYLOAD_LIMIT}",
            "send fewer examples in one request, or accept application/x-npy, which is shorter",
        )
