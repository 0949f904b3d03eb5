"""moto wasn't written for threads: one call at a time for each of its services.

S3 is let through, since uploads come in parallel and touch different objects; what must be atomic there
takes `WRITES` (see `clouddeploy.emulator.s3.conditions`).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

WRITES = threading.Lock()
_TURNS: dict[str, threading.RLock] = defaultdict(threading.RLock)


@contextmanager
def turn(service: str) -> Iterator[None]:
    """Hold moto's `service` (its signing name) alone."""
    if service == "s3":
        yield
        return
    with _TURNS[service]:
        yield
