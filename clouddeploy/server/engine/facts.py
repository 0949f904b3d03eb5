"""What an engine tells of itself and of each of its batches."""

from __future__ import annotations

from dataclasses import dataclass

from clouddeploy.server.engine.jobs import Caller


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model's speed.

    Args:
        mode: ``loop`` or ``thread``: where a batch of one example runs.
        example_s: seconds an example, in batches as they come.
        batches: how many were predicted.
        waiting: examples that wait now.
        running_s: seconds since the batch in the thread began; 0 when there is none.
    """

    mode: str
    example_s: float
    batches: int
    waiting: int
    running_s: float


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch that was predicted, for those who count.

    Args:
        size: examples.
        callers: who asked, where it is known; each has the time it began to wait.
        began: `Engine`'s time when the model was called.
        seconds: that it took.
    """

    size: int
    callers: tuple[Caller, ...]
    began: float
    seconds: float
