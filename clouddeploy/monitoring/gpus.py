"""GPU figures by the package nvidia-ml-py, where it and a driver are installed."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from clouddeploy.monitoring.families import GPU_HEAT, GPU_MEMORY, GPU_MEMORY_ALL, GPU_POWER, GPU_USED, Family
from clouddeploy.monitoring.gathering import Snapshot

log = logging.getLogger(__name__)


@cache
def library() -> Any:
    """The module ``pynvml`` with its library started; None without one."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        log.info("no GPU figures: %s", error)
        return None
    return nvml


def add(snapshot: Snapshot, nvml: Any) -> None:
    """Add to `snapshot` what each GPU does.

    Args:
        snapshot: to add to.
        nvml: `library()`, or something that has its functions; None adds nothing.
    """
    if nvml is None:
        return
    for number in range(nvml.nvmlDeviceGetCount()):
        device = nvml.nvmlDeviceGetHandleByIndex(number)
        name = nvml.nvmlDeviceGetName(device)
        labels = (str(number), name.decode() if isinstance(name, bytes) else name)

        figures: tuple[tuple[Family, Callable[[Any], float]], ...] = (
            (GPU_USED, lambda d: nvml.nvmlDeviceGetUtilizationRates(d).gpu / 100),
            (GPU_MEMORY, lambda d: nvml.nvmlDeviceGetMemoryInfo(d).used),
            (GPU_MEMORY_ALL, lambda d: nvml.nvmlDeviceGetMemoryInfo(d).total),
            (GPU_HEAT, lambda d: nvml.nvmlDeviceGetTemperature(d, nvml.NVML_TEMPERATURE_GPU)),
            (GPU_POWER, lambda d: nvml.nvmlDeviceGetPowerUsage(d) / 1000),  # told in milliwatts
        )
        for family, read in figures:
            try:
                snapshot.set(family, labels, float(read(device)))
            except nvml.NVMLError as error:  # this GPU doesn't tell
                log.debug("GPU %d: %s: %s", number, family.name, error)
