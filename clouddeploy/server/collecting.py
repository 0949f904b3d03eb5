"""When Python looks for objects that hold one another and that nobody else holds.

A framework is hundreds of thousands of objects that stay until the end. Looking through them takes as long
as a hundred predictions, and they are looked through again and again while it is imported.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable

USUAL = gc.get_threshold()
SELDOM = (50_000, 20, 100)
"""Thresholds while a worker starts; on a torch program they save a tenth of the loading and cost 0.2 MB."""


def seldom() -> None:
    """Look seldom, until `leave_out`."""
    gc.set_threshold(*SELDOM)


def leave_out(versions: Iterable[object]) -> None:
    """Look through nothing of what there is now, until one of `versions` goes and leaves what must be found.

    Args:
        versions: the loaded ones.
    """
    gc.freeze()
    gc.collect()  # nothing is left to look through; what comes next is counted from here
    gc.set_threshold(*USUAL)
    for version in versions:
        weakref.finalize(version, gc.unfreeze).atexit = False
