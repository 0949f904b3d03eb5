"""How often each client may ask: a token bucket for each, shared by the workers through a file in memory.

A bucket is one number, the time at which it will be full again (the "generic cell rate algorithm"), so that
what a worker does with it is one look and one write under a lock of the kernel's, which a dead worker loses.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import math
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.errors import SpecError
from clouddeploy.runtime.errors import WireError

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.message import Response

SETS, WAYS = 8192, 8
SLOT = struct.Struct("=Qd")
FILE = "rates"
NETWORK_BITS = 64
"""Who has an IPv6 address has a network of them."""


def install(app: App) -> None:
    """Limit rates, when the settings name one.

    Raises:
        SpecError: a burst without a rate.
    """
    settings = app.settings
    if not settings.rate:
        if settings.burst:
            raise SpecError("ServerSettings.burst has no effect", why="rate is 0", fix="set rate too")
        return
    folder = (
        settings.run_folder if settings.run_folder.name else Path(tempfile.mkdtemp(prefix="clouddeploy-"))
    )
    buckets = Buckets(folder / FILE, settings.rate, settings.burst or math.ceil(settings.rate))
    limiter = Limiter(buckets, frozenset(filter(None, settings.open_paths.split(","))))
    app.before.append(limiter.guard)
    app.on_stop.append(buckets.stop)


class Buckets:
    """One token bucket for each name.

    Args:
        path: of the file that the workers share.
        rate: tokens a second.
        burst: tokens of a full bucket.
        clock: seconds; the same in all processes.

    Raises:
        SpecError: the file can't be made, or there is no room for it.
    """

    def __init__(
        self, path: Path, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._each_s, self._full_s, self._clock = 1 / rate, burst / rate, clock
        size = SETS * WAYS * SLOT.size
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            # All of it now: on a full disk, what is written to a mapped hole ends the process (SIGBUS).
            os.posix_fallocate(self._file, 0, size)
        except OSError as error:
            why = str(error.strerror)
            fix = "make room, or name another run_folder"
            raise SpecError(f"rates can't be kept in {path}", why=why, fix=fix) from error
        self._cells = mmap.mmap(self._file, size)

    def take(self, name: str) -> float:
        """Take a token; 0, or the seconds until there will be one."""
        number = int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()) or 1
        at = number % SETS
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, at)
        try:
            return self._take(number, at * WAYS * SLOT.size)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)

    def _take(self, number: int, start: int) -> float:
        now = self._clock()
        place, oldest = start, math.inf
        for offset in range(start, start + WAYS * SLOT.size, SLOT.size):
            known, full_at = SLOT.unpack_from(self._cells, offset)
            if known == number:
                place, oldest = offset, full_at
                break
            if full_at < oldest:  # a bucket that is full again, or will be first, is given away
                place, oldest = offset, full_at
        else:
            oldest = now
        full_at = max(oldest, now) + self._each_s
        wait_s = full_at - now - self._full_s
        if wait_s > 1e-9:
            return wait_s
        SLOT.pack_into(self._cells, place, number, full_at)
        return 0.0

    async def stop(self) -> None:
        """Let go of the file."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            self._cells.close()
            os.close(self._file)
            self._file = -1


class TooOften(WireError):
    """Somebody asks too often.

    Args:
        wait_s: seconds until the next request is taken.
    """

    def __init__(self, wait_s: float) -> None:
        self.retry_after_s = math.ceil(wait_s)
        super().__init__("rate_limited", "too many requests", f"try again in {wait_s:.3f} s")


class Limiter:
    """Refuses who asks too often.

    Args:
        buckets: one for each key, or for each address without one.
        open_paths: that are not counted.
    """

    def __init__(self, buckets: Buckets, open_paths: frozenset[str]) -> None:
        self._buckets, self._open = buckets, open_paths

    def guard(self, exchange: Exchange) -> Response | None:
        """Count a request.

        Raises:
            TooOften: it is one too many.
        """
        request = exchange.request
        if request.head.path in self._open:
            return None
        key = exchange.attributes.get("key")
        wait_s = self._buckets.take(f"key {key}" if key is not None else f"peer {network(request.peer)}")
        if wait_s:
            raise TooOften(wait_s)
        return None


def network(peer: str) -> str:
    """An address, or for IPv6 the network that its owner has."""
    if ":" not in peer:
        return peer
    address = ipaddress.IPv6Address(peer.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, NETWORK_BITS), strict=False))
