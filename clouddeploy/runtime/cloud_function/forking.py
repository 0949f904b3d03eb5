"""Loading a model where functions-framework forks after importing the function.

gunicorn's workers are forks of the process that imported it, and threads don't survive a fork: a pool of
them that was started by then is empty afterwards, and what waits for it waits for ever. So until then
there is one thread; the model is loaded while the function is imported, so that one that can't be loaded
doesn't become ready; and where more threads are asked for, it is loaded in the worker.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable

from clouddeploy.runtime.function.guarded import GuardedService

BOOT_FAILED = 3
"""A worker's exit with this status ends gunicorn, as it can't start (``Arbiter.WORKER_BOOT_ERROR``)."""

Load = Callable[[], GuardedService]


class Loading:
    """A model that is loaded once, at the first use of it; call it to have the model.

    Args:
        load: loads it.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._service: GuardedService | None = None

    def __call__(self) -> GuardedService:
        """The model.

        Raises:
            LoadError: it can't be loaded.
        """
        if self._service is None:
            with self._lock:
                if self._service is None:
                    self._service = self._load()
        return self._service

    def use_in_children(self, warm: Callable[[GuardedService], object]) -> None:
        """Make the model ready in each process that is forked off this one, as long as this object lives.

        It is loaded there where it isn't loaded yet, and a process that can't load it ends.

        Args:
            warm: what is done with the model afterwards, in a thread of its own.
        """
        parent = os.getpid()
        known = weakref.ref(self)

        def begin() -> None:
            found = known()
            if found is not None and os.getppid() == parent:
                found.begin(warm)

        os.register_at_fork(after_in_child=begin)

    def begin(self, warm: Callable[[GuardedService], object]) -> None:
        """Make the model ready in this process, which ends where it can't be loaded."""
        try:
            service = self()
        except BaseException:  # noqa: BLE001  # it is on the log; after a fork an exception would be lost
            os._exit(BOOT_FAILED)
        threading.Thread(target=warm, args=(service,), name="warm-up", daemon=True).start()


def end_worker() -> None:
    """Ask this process to end in order; gunicorn starts another worker in its place."""
    os.kill(os.getpid(), signal.SIGTERM)
