"""What passes between a worker and its supervisor: commands one way, signs of life the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

BEAT_S = 1.0
Command = Callable[[dict[str, Any], list[int]], None]


class Status:
    """Tells the supervisor what becomes of the worker; never waits for it.

    Args:
        descriptor: of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def tell(self, what: dict[str, Any]) -> None:
        """Write one line."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # nobody reads: nobody needs to know
            os.write(self._descriptor, json.dumps(what).encode() + b"\n")

    async def beat(self) -> None:
        """Show that the loop turns, for ever."""
        while True:
            self.tell({"beat": 1})
            await asyncio.sleep(BEAT_S)


def listen(
    control: socket.socket, act: Command, on_gone: Callable[[], None], patience_s: float
) -> threading.Thread:
    """Call `act` in the loop with each command and its file descriptors, and `on_gone` when nobody is left.

    A process whose loop is stuck can't be told to end, so it is ended when `patience_s` is over.
    """
    loop = asyncio.get_running_loop()

    def run() -> None:
        while True:
            data, descriptors, _, _ = socket.recv_fds(control, 65_536, 8)
            if not data:
                break
            loop.call_soon_threadsafe(act, json.loads(data), descriptors)
        if not loop.is_closed():
            loop.call_soon_threadsafe(on_gone)
        time.sleep(patience_s)
        os._exit(1)

    thread = threading.Thread(target=run, name="control", daemon=True)
    thread.start()
    return thread
