"""Cloud Run's limits for requests and answers over HTTP/1 ("Cloud Run functions: Quotas", 32 MB each)."""

from __future__ import annotations

from clouddeploy.runtime.errors import WireError

PAYLOAD_LIMIT = 33_554_432
"""Bytes of a request's or an answer's body: 32 MiB ("Cloud Run: Quotas and limits")."""


def check_body(body: bytes) -> None:
    """See that `body` is no more than Cloud Run takes.

    Raises:
        WireError: ``too_large``.
    """
    check_length(len(body))


def check_length(size: int) -> None:
    """See that a body of `size` bytes is no more than Cloud Run takes.

    Raises:
        WireError: ``too_large``.
    """
    if size > PAYLOAD_LIMIT:
        raise WireError(
            "too_large",
            f"the body has {size} bytes; Cloud Run takes at most {PAYLOAD_LIMIT}",
            "send fewer examples in one request",
        )


def check_answer(body: bytes) -> None:
    """See that Cloud Run will take `body` as an answer; its own error would have no reason.

    Raises:
        WireError: ``too_large``.
    """
    if len(body) > PAYLOAD_LIMIT:
        raise WireError(
            "too_large",
            f"the answer has {len(body)} bytes; Cloud Run returns at most {PAYLOAD_LIMIT}",
            "send fewer examples in one request, or accept application/x-npy, which is shorter",
        )
