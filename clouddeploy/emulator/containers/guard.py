"""Ends the process groups of functions when the embedded cloud is gone.

A frozen process can't notice that its parent died, so one that never freezes watches for all of them.
Standard input is a pipe that the embedded cloud holds: ``+PID`` adds a group, ``-PID`` takes it out, and
its end is the end of all that are left.

    python -I -S guard.py
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    """Listen until the pipe closes, then end what is left."""
    os.setsid()  # a Ctrl-C in the terminal mustn't end the guard before those it watches
    groups: set[int] = set()
    for line in sys.stdin:
        number = int(line[1:])
        if line[0] == "+":
            groups.add(number)
        else:
            groups.discard(number)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # ended by itself
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
