"""What a deployment costs by list price."""

from __future__ import annotations

from clouddeploy.engine.finding import Cost
from clouddeploy.providers.cloud_functions import sizes
from clouddeploy.providers.cloud_functions.options import Options
from clouddeploy.spec import Deployment

SOURCE = "Cloud Run pricing page"
IDLE_USD = 0.0000025
"""US dollars per second for one vCPU, and for one GiB, of an idle minimum instance with request-based
billing in regions of tier 1 (Cloud Run pricing page, as of November 2026)."""
TIER_1 = frozenset(
    [
        "asia-east1", "asia-northeast1", "asia-northeast2", "asia-south1", "europe-north1",
        "europe-southwest1", "europe-west1", "europe-west4", "europe-west8", "europe-west9", "me-west1",
        "us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1",
    ]
)  # fmt: skip


def costs(deployment: Deployment, options: Options, region: str) -> list[Cost]:
    """One row for the function's use, and one for its minimum instances while they are idle."""
    name = deployment.name
    found = [
        Cost(
            f"function/{name}",
            None,
            f"charged by use: requests, and seconds times CPU and memory ({SOURCE})",
        )
    ]
    count = deployment.autoscaling.min
    if count:
        found.append(_idle(deployment, options, region, count))
    return found


def _idle(deployment: Deployment, options: Options, region: str, count: int) -> Cost:
    compute = deployment.compute
    cpu = sizes.cpu_of(compute, options.cpu, sizes.concurrency_of(deployment.autoscaling))
    gib = sizes.memory_of(compute) / 1024
    what = f"{count} x ({cpu:g} vCPU + {gib:g} GiB) of minimum instances, while idle"
    key = f"function/{deployment.name} (minimum instances)"
    if region not in TIER_1:
        return Cost(key, None, f"{what}; the list price in {region} is unknown here; see the {SOURCE}")
    usd = count * (cpu + gib) * IDLE_USD * 3600
    return Cost(key, usd, f"{what}: USD {IDLE_USD:.7f} per vCPU or GiB second in tier 1 ({SOURCE})")
