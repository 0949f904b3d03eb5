"""What is sent, how often and for how long."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from clouddeploy.client.address import Address, check_header
from clouddeploy.client.http1 import request_bytes
from clouddeploy.errors import SpecError
from clouddeploy.validation import check_choice, check_number

Arrivals = Literal["constant", "poisson"]
MOST_CONNECTIONS = 20_000
EDGE_S = 1e-6
"""More than the rounding of a clock that has run for years."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """A load on one URL.

    Args:
        url: what is asked, with its path.
        rate: requests a second that are due, whatever the server does (open loop). None: every connection
            sends its next request when it has its answer (closed loop).
        duration_s: seconds that are measured, 0.1 to 86,400.
        warm_up_s: seconds of the same load before, which don't count.
        connections: kept open, at the most; 1 to 20,000.
        arrivals: evenly spaced, or by chance as independent callers come (open loop only).
        method: of HTTP.
        headers: sent with every request.
        body: sent with every request.
        timeout_s: a request without a complete answer after so many seconds has failed.
        seed: of chance.
    """

    url: str
    rate: float | None = None
    duration_s: float = 10.0
    warm_up_s: float = 1.0
    connections: int = 32
    arrivals: Arrivals = "constant"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout_s: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rate is not None:
            check_number(self, "rate", self.rate, 0.01, 10_000_000, "requests a second", whole=False)
        check_number(self, "duration_s", self.duration_s, 0.1, 86_400, "seconds", whole=False)
        check_number(self, "warm_up_s", self.warm_up_s, 0, 3600, "seconds", whole=False)
        check_number(self, "timeout_s", self.timeout_s, 0.001, 3600, "seconds", whole=False)
        check_number(self, "connections", self.connections, 1, MOST_CONNECTIONS, "connections")
        check_choice(self, "arrivals", self.arrivals, get_args(Arrivals))
        if not self.method.isascii() or not self.method.isalpha() or not self.method.isupper():
            raise SpecError(f"Load.method is {self.method!r}", why="it is no method", fix="give POST or GET")
        for name, value in self.headers.items():
            check_header(name, value)
        _ = self.address

    @property
    def address(self) -> Address:
        """The server, with the path as its prefix."""
        return Address.of(self.url.partition("?")[0])

    @property
    def data(self) -> bytes:
        """One request as it goes over the wire."""
        _, mark, query = self.url.partition("?")
        if any(not 0x21 <= ord(sign) < 0x7F for sign in query):
            raise SpecError(
                f"the query of {self.url!r} can't be sent",
                why="it holds spaces, control characters or others than ASCII",
                fix="write them as %20 and the like",
            )
        target = (self.address.prefix or "/") + mark + query
        headers = {name.lower(): value for name, value in self.headers.items()}
        return request_bytes(self.method, target, self.address.authority, headers, self.body)

    def counted(self, start: float) -> tuple[float, float]:
        """From when to when requests count, for a load that begins at `start`.

        A little early, both: what is due right at the end doesn't count, and of a large clock's sums the
        last digits are anybody's guess.
        """
        edge_s = min(EDGE_S, 0.1 / self.rate) if self.rate else 0.0
        begin = start + self.warm_up_s - edge_s
        return begin, begin + self.duration_s

    def due(self) -> Iterator[float]:
        """Seconds from the start at which requests are due, without end."""
        assert self.rate is not None
        if self.arrivals == "constant":
            number = 0
            while True:
                yield number / self.rate
                number += 1
        chance, at = random.Random(self.seed), 0.0
        while True:
            at += chance.expovariate(self.rate)
            yield at

    def __str__(self) -> str:
        if self.rate is None:
            how = "closed loop"
        else:
            how = f"open loop, {self.rate:g} requests/s{', poisson' if self.arrivals == 'poisson' else ''}"
        plural = "" if self.connections == 1 else "s"
        return f"{how}, {self.connections} connection{plural}, {self.duration_s:g} s"
