"""Doing several things at once, in threads that never keep the interpreter from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def start(work: Callable[[], object], *, name: str) -> threading.Thread:
    """Run `work` in a daemon thread that sees the caller's context variables."""
    context = copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name=f"clouddeploy {name}", daemon=True)
    thread.start()
    return thread


def spread(work: Callable[[T], R], items: Sequence[T], *, workers: int) -> list[R]:
    """``[work(item) for item in items]``, up to `workers` at once.

    After an error no further item is begun, and the error of the first failed item is raised.
    Ctrl-C is raised at once; what is under way then ends by itself and is not looked at.
    """
    if workers <= 1 or len(items) <= 1:
        return [work(item) for item in items]
    results: dict[int, R] = {}
    errors: dict[int, BaseException] = {}
    todo = iter(range(len(items)))
    lock = threading.Lock()
    finished = threading.Semaphore(0)

    def take() -> int | None:
        with lock:
            return None if errors else next(todo, None)

    def labour() -> None:
        try:
            while (at := take()) is not None:
                try:
                    results[at] = work(items[at])
                except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                    errors[at] = error
        finally:
            finished.release()

    threads = min(workers, len(items))
    for number in range(threads):
        start(labour, name=f"reader {number}")
    for _ in range(threads):
        # A bounded wait, because on Windows an unbounded one doesn't notice Ctrl-C.
        while not finished.acquire(timeout=0.5):
            continue
    if errors:
        raise errors[min(errors)]
    return [results[at] for at in range(len(items))]
