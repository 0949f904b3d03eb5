"""What a deployment costs by list price."""

from __future__ import annotations

from clouddeploy.engine.finding import Cost
from clouddeploy.providers.aws_lambda.configuration import MEMORY_MB
from clouddeploy.providers.aws_lambda.names import ALIAS
from clouddeploy.providers.aws_lambda.scaling import kept_running
from clouddeploy.spec import Deployment

SOURCE = "AWS Lambda pricing page"


def costs(deployment: Deployment) -> list[Cost]:
    """One row for the function's use, and one for the copies that are kept running.

    The price of those differs by region and architecture and isn't known here, so none is told.
    """
    name = deployment.name
    found = [Cost(f"function/{name}", None, f"charged by use: requests, and seconds times memory ({SOURCE})")]
    count = kept_running(deployment.autoscaling)
    if count:
        gb = (deployment.compute.memory_mb or MEMORY_MB) / 1024
        basis = f"{count} x {gb:g} GB kept running are charged all the time; the list price is unknown here"
        found.append(Cost(f"provisioned-concurrency/{name}:{ALIAS}", None, f"{basis}; see the {SOURCE}"))
    return found
