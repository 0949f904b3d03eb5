"""How long a client waits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clouddeploy.validation import check_number


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long a client waits, in seconds.

    Args:
        connect_s: for a connection, its TLS handshake included.
        read_s: for the next bytes of an answer, the first ones included.
        total_s: for the whole call: every attempt, and the pauses between them.
    """

    connect_s: float = 5.0
    read_s: float = 60.0
    total_s: float = 120.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            check_number(self, name, getattr(self, name), 0.001, math.inf, "seconds", whole=False)
