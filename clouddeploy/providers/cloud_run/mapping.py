"""What Cloud Run makes of each field of `Autoscaling`; docs/autoscaling.md is made of it."""

from __future__ import annotations

from collections.abc import Mapping

from clouddeploy.engine.finding import Mapped
from clouddeploy.providers.gcp.run.mapping import COMMON

AUTOSCALING: Mapping[str, Mapped] = {
    "min": Mapped("exact", "the service's minimum instances (scaling.minInstanceCount); 0 scales to zero"),
    "max": Mapped(
        "approximated",
        "the service's maximum instances (scaling.maxInstanceCount), which Google may exceed for a short "
        "time",
    ),
    **COMMON,
}
