"""Arguments of the clients, refused by name before anything is sent."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Mapping
from typing import Any

from clouddeploy.client.address import check_header
from clouddeploy.errors import SpecError
from clouddeploy.validation import check_number

METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
MOST_BYTES = 1 << 50


def check_kind(
    name: str, value: object, kinds: type | tuple[type, ...], allowed: str, *, secret: bool = False
) -> None:
    """Refuse a `value` of another kind; one that is `secret` isn't repeated.

    Raises:
        SpecError: it is none of `kinds`.
    """
    if isinstance(value, kinds) and not isinstance(value, bool):
        return
    shown = f"of type {type(value).__name__}" if secret else repr(value)
    raise SpecError(f"{name} is {shown}", why=f"allowed: {allowed}", fix=f"give {name} one of these")


def check_transport(owner: object, connections: object, tls: object, answer_limit: object) -> None:
    """Refuse what no connections can be made with.

    Raises:
        SpecError: one of these can't be used.
    """
    check_number(owner, "connections", connections, 1, 100_000, "connections")
    check_number(owner, "answer_limit", answer_limit, 0, MOST_BYTES, "bytes")
    if tls is not None:
        check_kind("tls", tls, ssl.SSLContext, "ssl.create_default_context(cafile=…), or None")


def lowered(headers: object) -> dict[str, str]:
    """`headers` with lower-case names, so that none is sent twice.

    Raises:
        SpecError: they are no mapping of texts, or one of them can't be sent.
    """
    check_kind("headers", headers, Mapping, "a mapping of texts to texts")
    assert isinstance(headers, Mapping)
    found = {}
    for name, value in headers.items():
        check_header(name, value)
        found[name.lower()] = value
    return found


def check_method(method: object) -> None:
    """Refuse what is no method: it would break the request apart.

    Raises:
        SpecError: it isn't one.
    """
    if not isinstance(method, str) or not METHOD.fullmatch(method):
        raise SpecError(
            f"the method {method!r} can't be sent", why="it is no token of HTTP", fix="give GET or POST"
        )


def check_body(body: object) -> None:
    """Refuse what is no bytes.

    Raises:
        SpecError: it isn't.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise SpecError(
            f"the body is of type {type(body).__name__}",
            why="allowed: bytes",
            fix="encode it, such as json.dumps(…).encode()",
        )


def check_timeout(timeout_s: Any) -> float:
    """Seconds of a call; none or fewer mean that its time is over already.

    Raises:
        SpecError: it is no finite number.
    """
    number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if not number or not math.isfinite(timeout_s):
        raise SpecError(
            f"timeout_s is {timeout_s!r}", why="allowed: a number of seconds", fix="give one such as 2.5"
        )
    return float(timeout_s)
