"""Ending a program that was started for packaging, with whatever it started itself."""

from __future__ import annotations

import os
import signal
import subprocess


def end(process: subprocess.Popen[bytes]) -> None:
    """End `process`, the leader of a session of its own, and its children, if it still runs."""
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
