"""What Cloud Run's scaling makes of fields of `Autoscaling`, for services and functions alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clouddeploy.engine.finding import Mapped

COMMON: Final[Mapping[str, Mapped]] = {
    "requests_per_minute": Mapped("impossible", "instances are not counted by the rate of requests"),
    "concurrency": Mapped(
        "approximated",
        "the cap of one instance is the target over 0.6, rounded up (maxInstanceRequestConcurrency): "
        "instances are started so that each has 60 % of its cap",
    ),
    "cpu": Mapped("impossible", "the platform's own 60 % of a CPU is held; the API has no field for another"),
    "utilization": Mapped("impossible", "no capacity is provisioned, beyond the minimum instances"),
    "scale_out_cooldown_s": Mapped("impossible", "instances start as requests come; there is no cooldown"),
    "scale_in_cooldown_s": Mapped("impossible", "an idle instance is stopped when the platform likes"),
    "schedules": Mapped("impossible", "the number of instances can't be scheduled"),
}
"""Every field but ``min`` and ``max``, which have other names in each API."""
MENDS: Final[Mapping[str, str]] = {
    "max": "leave some room under what a database behind it takes",
    "requests_per_minute": "use concurrency, the requests in progress in one instance",
    "concurrency": "none is needed; a load test tells which cap suits the model",
    "cpu": "use concurrency, the requests in progress in one instance",
    "utilization": "use concurrency, the requests in progress in one instance",
    "scale_out_cooldown_s": "leave it out",
    "scale_in_cooldown_s": "leave it out, or raise min to keep instances",
    "schedules": "call scale() at those times, such as from Cloud Scheduler",
}
"""What to write instead of what isn't exact."""
