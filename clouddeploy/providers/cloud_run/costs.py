"""What a deployment costs by list price."""

from __future__ import annotations

from clouddeploy.engine.finding import Cost
from clouddeploy.providers.cloud_run import sizes
from clouddeploy.providers.cloud_run.options import Options
from clouddeploy.spec import Deployment

SOURCE = "Cloud Run pricing page"


def costs(deployment: Deployment, options: Options) -> list[Cost]:
    """One row for the service's use, one for its minimum instances and one for its images.

    Prices differ by region and aren't kept here, so none is told.
    """
    name, wish = deployment.name, deployment.autoscaling
    concurrency = sizes.concurrency_of(wish, options.cpu)
    cpu = sizes.cpu_of(deployment.compute, options, concurrency)
    gib = sizes.memory_of(deployment.compute, options) / 1024
    one = f"{cpu:g} vCPU + {gib:g} GiB" + (f" + 1 {options.gpu}" if options.gpu else "")
    basis = (
        f"charged for the whole life of each instance of {one}"
        if options.gpu
        else f"charged by use: requests, and the seconds in which instances of {one} serve them"
    )
    found = [Cost(f"service/{name}", None, f"{basis} ({SOURCE})")]
    if wish.min:
        what = f"{wish.min} x ({one}) kept running are charged all the time; the list price is unknown here"
        found.append(Cost(f"service/{name} (minimum instances)", None, f"{what}; see the {SOURCE}"))
    if options.image is None:
        stored = "images are charged by GB and month (Artifact Registry pricing page)"
        found.append(Cost(f"image/{name}", None, stored))
    return found
