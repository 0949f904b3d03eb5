"""The GPUs of Cloud Run, as data.

Cloud Run documentation, "GPU support for services", read in November 2026: an instance has one GPU, CPU is
allocated all the time, and each kind asks for a least number of CPUs and amount of memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from clouddeploy.errors import SpecError
from clouddeploy.validation import suggest


@dataclass(frozen=True, slots=True)
class Gpu:
    """One kind.

    Args:
        cpu: CPUs at least.
        memory_mb: MiB of memory at least.
        regions: where it is known to be; empty where that isn't known here.
    """

    cpu: float
    memory_mb: int
    regions: frozenset[str]


GPUS = {
    "nvidia-l4": Gpu(
        4.0,
        16_384,
        frozenset(
            ["asia-south1", "asia-southeast1", "europe-west1", "europe-west4", "us-central1", "us-east4"]
        ),
    ),
    "nvidia-rtx-pro-6000": Gpu(20.0, 81_920, frozenset()),
}


def gpu_of(kind: str) -> Gpu:
    """What is known of the GPU `kind`.

    Raises:
        SpecError: nothing is.
    """
    if kind not in GPUS:
        raise SpecError(
            f"gpu is {kind!r}{suggest(kind, GPUS)}",
            why=f"known: {', '.join(GPUS)} (Cloud Run, 'GPU support for services')",
            fix="choose one of them",
        )
    return GPUS[kind]
