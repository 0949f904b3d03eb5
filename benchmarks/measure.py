"""Alternating runs and their medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(act: Callable[[], object]) -> float:
    """Wall seconds that `act` takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def alternate(acts: dict[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """Median of `runs` measurements of each act, taken in turn: A B A B ..."""
    found: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(runs):
        for name, act in acts.items():
            found[name].append(act())
    return {name: statistics.median(values) for name, values in found.items()}


def verdict(what: str, ratio: float, goal: str, reached: bool) -> None:
    """Print one line of the result."""
    print(f"{'reached' if reached else 'MISSED '}  {what}: {ratio:.3f} (goal: {goal})", flush=True)
