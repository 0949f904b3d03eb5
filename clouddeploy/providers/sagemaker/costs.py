"""What a deployment costs by list price."""

from __future__ import annotations

from clouddeploy.engine.finding import Cost
from clouddeploy.providers.sagemaker.check import is_serverless, machine
from clouddeploy.providers.sagemaker.instances import PRICES_SOURCE, instance
from clouddeploy.providers.sagemaker.names import repository
from clouddeploy.providers.sagemaker.options import Options
from clouddeploy.spec import Deployment


def costs(deployment: Deployment, options: Options | None = None) -> list[Cost]:
    """A row for the endpoint, its machines at the least number of copies, and one for a built image."""
    return [*_endpoint(deployment), *(_images(deployment) if options and options.builds_image else ())]


def _images(deployment: Deployment) -> list[Cost]:
    key = f"ecr-repository/{repository(deployment.name)}"
    return [Cost(key, None, "charged by what is kept: bytes of images (Amazon ECR pricing page)")]


def _endpoint(deployment: Deployment) -> list[Cost]:
    key = f"endpoint/{deployment.name}"
    if is_serverless(deployment):
        return [
            Cost(
                key,
                None,
                "charged by use: seconds of compute and bytes in and out (Amazon SageMaker pricing page)",
            )
        ]
    name = machine(deployment)
    price = instance(name).usd_per_hour
    low, high = max(1, deployment.autoscaling.min), max(1, deployment.autoscaling.max)
    if price is None:
        return [
            Cost(
                key, None, f"the list price of {name} is unknown here; see the Amazon SageMaker pricing page"
            )
        ]
    most = f", up to {high} for {price * high:.2f}" if high > low else ""
    return [Cost(key, round(price * low, 6), f"{low} x {name}{most}; {PRICES_SOURCE}")]
