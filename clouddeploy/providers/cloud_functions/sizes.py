"""How much processor goes with how much memory.

Cloud Run documentation, "Configure memory limits" (minimum CPU for a memory size) and "Configure CPU
limits" (memory that a number of CPUs takes); concurrency above 1 takes a whole CPU ("Cloud Run functions:
Configure concurrency").
"""

from __future__ import annotations

from clouddeploy.errors import SpecError
from clouddeploy.spec import Autoscaling, Compute

MEMORY_MB = 1024
MEMORY_RANGE_MB = (128, 32_768)
LEAST_CPU = (
    (128, 0.083), (256, 0.167), (512, 0.333), (1024, 0.583), (4096, 1.0), (8192, 2.0),
    (16_384, 4.0), (24_576, 6.0), (32_768, 8.0),
)  # fmt: skip
"""``(up to so many MiB, CPUs at least)``."""
LEAST_MEMORY_MB = {1.0: 128, 2.0: 128, 4.0: 2048, 6.0: 4096, 8.0: 4096}
"""Whole CPUs, and the memory that each takes at least."""
MOST_MEMORY_MB = {1.0: 4096, 2.0: 8192, 4.0: 16_384, 6.0: 24_576, 8.0: 32_768}
FRACTIONS = ((0.5, 512), (1.0, 1024))
"""``(below so many CPUs, MiB at most)`` where there is less than one CPU."""
LEAST_FRACTION = 0.08


def least_cpu(memory_mb: int) -> float:
    """CPUs that `memory_mb` takes at least."""
    return next(cpu for most, cpu in LEAST_CPU if memory_mb <= most)


def memory_of(compute: Compute) -> int:
    """MiB of memory of one instance."""
    return compute.memory_mb or MEMORY_MB


def cpu_of(compute: Compute, cpu: float | None, concurrency: int) -> float:
    """CPUs of one instance: those asked for, else the least that memory and concurrency take.

    Raises:
        SpecError: CPU and memory, or CPU and concurrency, don't go together; names the nearest that do.
    """
    memory_mb = memory_of(compute)
    low, high = MEMORY_RANGE_MB
    if not low <= memory_mb <= high:
        raise SpecError(
            f"Compute.memory_mb is {memory_mb}",
            why=f"Cloud Functions takes {low} to {high:,} MiB of memory (Quotas, max function memory)",
            fix=f"set it to {high:,} or less" if memory_mb > high else f"set it to {low} or more",
        )
    if cpu is None:
        return max(least_cpu(memory_mb), 1.0 if concurrency > 1 else 0.0)
    _refuse_pair(cpu, memory_mb)
    if cpu < 1 and concurrency > 1:
        raise SpecError(
            f"cpu is {cpu:g} and an instance is to serve {concurrency} requests at once",
            why="concurrency above 1 takes at least 1 CPU (Cloud Functions v2, ServiceConfig)",
            fix="set cpu to 1 or more, or leave out the concurrency target",
        )
    return float(cpu)


def _refuse_pair(cpu: float, memory_mb: int) -> None:
    nearest = nearest_cpu(cpu, memory_mb)
    if nearest == cpu:
        return
    raise SpecError(
        f"cpu is {cpu:g} and memory is {memory_mb:,} MiB, a pair that doesn't exist",
        why="CPU is below 1 or one of 1, 2, 4, 6, 8, and goes with a range of memory (Cloud Run, 'Configure "
        "CPU limits')",
        fix=f"the nearest pair: cpu={nearest:g} with memory_mb={memory_mb}",
    )


def nearest_cpu(cpu: float, memory_mb: int) -> float:
    """`cpu` if it goes with `memory_mb`, else the nearest number that does."""
    if LEAST_FRACTION <= cpu < 1 and cpu >= least_cpu(memory_mb) and memory_mb <= _most_for_fraction(cpu):
        return cpu
    whole = [n for n, least in LEAST_MEMORY_MB.items() if least <= memory_mb <= MOST_MEMORY_MB[n]] or [
        least_cpu(memory_mb)
    ]
    small = [least_cpu(memory_mb)] if least_cpu(memory_mb) < 1 else []
    return min([*small, *whole], key=lambda n: (abs(n - cpu), n))


def _most_for_fraction(cpu: float) -> int:
    return next(most for below, most in FRACTIONS if cpu < below)


def concurrency_of(wish: Autoscaling) -> int:
    """Requests that one instance gets at once: the cap under which 60 % of it is the wanted target.

    Cloud Run documentation, "About instance autoscaling": new instances start so that each has 60 % of
    its maximum concurrency.
    """
    if wish.concurrency is None:
        return 1
    # In hundredths of whole numbers, so that 6 / 0.6 is 10 and not the 11 that binary fractions give.
    return -(-round(wish.concurrency * 1000) // 600)
