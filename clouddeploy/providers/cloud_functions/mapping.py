"""What Cloud Functions makes of each field of `Autoscaling`; docs/autoscaling.md is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clouddeploy.engine.finding import Mapped
from clouddeploy.providers.gcp.run.mapping import COMMON

MOST_CONCURRENCY = 1000
"""Requests at once that one instance may get ("Cloud Run functions: Configure concurrency")."""
AUTOSCALING: Mapping[str, Mapped] = {
    "min": Mapped("exact", "minimum instances (serviceConfig.minInstanceCount); 0 scales to zero"),
    "max": Mapped(
        "approximated",
        "maximum instances (serviceConfig.maxInstanceCount), which Google may exceed for a short time",
    ),
    **COMMON,
    "concurrency": replace(
        COMMON["concurrency"], how=f"{COMMON['concurrency'].how}; THREADS is set to the cap"
    ),
}
