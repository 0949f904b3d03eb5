"""Heads of the requests that go the quick way through the front, as they are passed on."""

from __future__ import annotations

from clouddeploy.providers.local import http
from clouddeploy.providers.local.http import Refused
from clouddeploy.server.passing import PASSING

AHEAD = 1 << 20
"""Bytes that a client may send before its answer; then its connection isn't read any more."""
KNOWN = 1024
Known = tuple[bytes, int]
"""What a copy is sent as the head of a request, and the bytes of its body."""


class Asks:
    """Heads of requests that go the quick way, each kind parsed once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known | None] = {}

    def of(self, data: bytes) -> Known | None:
        """What `data`, a head, is passed on as; None when it goes the thorough way."""
        known = self._known
        if data in known:
            return known[data]
        parts = PASSING.split(data)
        if len(parts) == 1:
            return self._learn(data)
        rest = b"".join(parts[::3])
        found = known[rest] if rest in known else self._learn(rest)
        if found is None:
            return None
        lines = [b"%b:%b\r\n" % pair for pair in zip(parts[1::3], parts[2::3], strict=True)]
        return b"".join((found[0][:-2], *lines, b"\r\n")), found[1]

    def _learn(self, data: bytes) -> Known | None:
        if len(self._known) >= KNOWN:
            self._known.clear()
        found = self._known[data] = _quick(data)
        return found


def _quick(data: bytes) -> Known | None:
    try:
        head = http.request_of(data)
    except Refused:
        return None  # the thorough way tells what is wrong
    plain = head.keep and not head.expects and head.method != b"HEAD"
    return (head.encode(), head.length) if plain and 0 <= head.length <= AHEAD else None
