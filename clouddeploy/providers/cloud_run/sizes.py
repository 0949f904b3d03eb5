"""How much processor goes with how much memory, and how many requests at once.

Cloud Run documentation: "Configure memory limits for services" (least CPU for a memory size), "Configure CPU
limits for services" (memory of a number of CPUs; below 1 CPU, one request at once), "Maximum concurrent
requests for services" (80 unless set, 1000 at most).
"""

from __future__ import annotations

from clouddeploy.errors import SpecError
from clouddeploy.providers.cloud_run.gpus import gpu_of
from clouddeploy.providers.cloud_run.options import Options
from clouddeploy.spec import Autoscaling, Compute

MEMORY_MB = 1024
MEMORY_RANGE_MB = (128, 32_768)
MEMORY_OF_CPU = {
    1.0: (128, 4096),
    2.0: (128, 8192),
    4.0: (2048, 16_384),
    6.0: (4096, 24_576),
    8.0: (4096, 32_768),
}
"""Whole CPUs: MiB at least and at most."""
SMALL = ((0.5, 512), (1.0, 1024))
"""``(below so many CPUs, MiB at most)``."""
LEAST_CPU = 0.08
CONCURRENCY = 80
MOST_CONCURRENCY = 1000


def memory_of(compute: Compute, options: Options) -> int:
    """MiB of memory of one instance."""
    if compute.memory_mb is not None:
        return compute.memory_mb
    return max(MEMORY_MB, gpu_of(options.gpu).memory_mb) if options.gpu else MEMORY_MB


def concurrency_of(wish: Autoscaling, cpu: float | None) -> int:
    """Requests that one instance gets at once: the cap under which 60 % of it is the wanted target.

    Cloud Run documentation, "About instance autoscaling": new instances start so that each has 60 % of
    its maximum concurrency.
    """
    if wish.concurrency is None:
        return 1 if cpu is not None and cpu < 1 else CONCURRENCY
    # In hundredths of whole numbers, so that 6 / 0.6 is 10 and not the 11 that binary fractions give.
    return -(-round(wish.concurrency * 1000) // 600)


def cpu_of(compute: Compute, options: Options, concurrency: int) -> float:
    """CPUs of one instance: those asked for, else the least that memory and GPU take.

    Raises:
        SpecError: CPU, memory, GPU and concurrency don't go together; names the nearest that do.
    """
    memory_mb = memory_of(compute, options)
    if options.gpu:
        return _with_gpu(options.gpu, options.cpu, memory_mb)
    low, high = MEMORY_RANGE_MB
    if not low <= memory_mb <= high:
        raise SpecError(
            f"Compute.memory_mb is {memory_mb}",
            why=f"Cloud Run takes {low} to {high:,} MiB of memory",
            fix=f"set it to {high:,} or less" if memory_mb > high else f"set it to {low} or more",
        )
    least = next(cpu for cpu, (_, most) in MEMORY_OF_CPU.items() if memory_mb <= most)
    if options.cpu is None:
        return least
    _refuse_pair(options.cpu, memory_mb, least)
    if options.cpu < 1 and concurrency > 1:
        raise SpecError(
            f"cpu is {options.cpu:g} and an instance is to serve {concurrency} requests at once",
            why="concurrency above 1 takes at least 1 CPU ('Configure CPU limits for services')",
            fix="set cpu to 1 or more, or leave out the concurrency target",
        )
    return float(options.cpu)


def _refuse_pair(cpu: float, memory_mb: int, least: float) -> None:
    if LEAST_CPU <= cpu < 1:
        good = memory_mb <= next(most for below, most in SMALL if cpu < below)
    else:
        low, high = MEMORY_OF_CPU.get(float(cpu), (1, 0))
        good = low <= memory_mb <= high
    if good:
        return
    whole = [n for n, (low, high) in MEMORY_OF_CPU.items() if low <= memory_mb <= high]
    nearest = min(whole or [least], key=lambda n: (abs(n - cpu), n))
    raise SpecError(
        f"cpu is {cpu:g} and memory is {memory_mb:,} MiB, a pair that doesn't exist",
        why="CPU is below 1 or one of 1, 2, 4, 6, 8, and goes with a range of memory ('Configure CPU limits "
        "for services')",
        fix=f"the nearest pair: cpu={nearest:g} with memory_mb={memory_mb}",
    )


def _with_gpu(kind: str, cpu: float | None, memory_mb: int) -> float:
    gpu = gpu_of(kind)
    asked = gpu.cpu if cpu is None else float(cpu)
    if memory_mb <= MEMORY_RANGE_MB[1] and cpu is None:
        asked = max(asked, next(n for n, (_, most) in MEMORY_OF_CPU.items() if memory_mb <= most))
    if asked < gpu.cpu or memory_mb < gpu.memory_mb:
        raise SpecError(
            f"an instance with {kind} is to have {asked:g} CPU and {memory_mb:,} MiB of memory",
            why=f"that GPU takes {gpu.cpu:g} CPU and {gpu.memory_mb:,} MiB at least "
            "('GPU support for services')",
            fix=f"set cpu to {gpu.cpu:g} and Compute.memory_mb to {gpu.memory_mb}, or more",
        )
    if memory_mb <= MEMORY_RANGE_MB[1] and gpu.memory_mb <= MEMORY_RANGE_MB[1]:
        _refuse_pair(asked, memory_mb, gpu.cpu)
    return asked
