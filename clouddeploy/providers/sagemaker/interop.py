"""The SageMaker SDK's side of the same endpoint."""

from __future__ import annotations

from typing import Any

from clouddeploy.errors import NotFound, TargetError
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.sagemaker.site import NO_ENDPOINT, tags_of


def to_sagemaker(aws: Aws, name: str) -> Any:
    """The endpoint `name` as a ``sagemaker.core.resources.Endpoint``.

    Raises:
        TargetError: the SageMaker SDK isn't installed.
    """
    try:
        from sagemaker.core.resources import Endpoint
    except ModuleNotFoundError as error:
        raise TargetError(
            f"the SageMaker SDK isn't installed: no module {error.name!r}",
            fix="pip install 'clouddeploy[sagemaker]'",
        ) from error
    return Endpoint.get(endpoint_name=name, session=aws.session(), region=aws.region)


def adopt(aws: Aws, name: str) -> None:
    """Make the endpoint `name`, made by other means, the deployment of that name, so that it can be updated.

    Its present config and model stay whose they are: they aren't removed with the deployment.

    Raises:
        NotFound: there is no such endpoint.
        NameConflict: it is another deployment's.
    """
    found = aws.find("sagemaker", "DescribeEndpoint", NO_ENDPOINT, EndpointName=name)
    if found is None:
        raise NotFound(f"there is no endpoint {name!r} in {aws.region}", fix="deploy it instead")
    carried = tags_of(aws, found["EndpointArn"])
    if carried.get(tags.DEPLOYMENT, name) != name:
        raise tags.conflict("endpoint", name, carried, name, "remove that tag first")
    aws("sagemaker", "AddTags", ResourceArn=found["EndpointArn"], Tags=tags.as_list({tags.DEPLOYMENT: name}))
