"""How many connections a worker may have, and who makes room when there are more."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clouddeploy.server.connection import Connection

SPARE_FILES = 256
"""File descriptors that are left for models, logs and sockets of our own."""
SHARE = 100
"""One in so many connections is closed at once, so that not each newcomer looks through all."""
REST_S = 1.0
"""A connection that was used so lately may have a request under way to us."""


def room(wanted: int) -> int:
    """The connections that this process can have, at most `wanted`; lifts its soft limit on open files."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < needed:
        soft = needed if hard == unlimited else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == unlimited else max(1, min(wanted, soft - SPARE_FILES))


def make_room(connections: set[Connection], most: int, now: float) -> bool:
    """Close those that were idle for longest; whether there were any.

    Args:
        connections: all; those that are closed are taken out.
        most: how many there may be.
        now: the loop's time.
    """
    idle = [one for one in connections if one.idle and now - one.since >= REST_S]
    for one in heapq.nsmallest(max(1, most // SHARE), idle, key=lambda one: one.since):
        one.close()
        connections.discard(one)
    return bool(idle)
