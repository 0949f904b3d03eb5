"""Which calls are answered here; every other one is moto's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.autoscaling import policies, schedules, targets
from clouddeploy.emulator.call import Call
from clouddeploy.emulator.cloudformation.routing import ROUTES as CLOUDFORMATION
from clouddeploy.emulator.functions import api
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.http_api import gateway
from clouddeploy.emulator.iam import documents
from clouddeploy.emulator.registry.routing import ROUTES as REGISTRY
from clouddeploy.emulator.s3 import conditions, parts
from clouddeploy.emulator.s3 import policies as bucket_policies
from clouddeploy.emulator.sagemaker import configs, endpoints, listing, models, tags, updates

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

# An answer's body, a whole response, or None to let moto answer.
Route = Callable[["Cloud", Call], Mapping[str, Any] | Response | None]
# Services whose model's constraints are checked before anything else.
CHECKED = frozenset({"sagemaker", "application-autoscaling"})

ROUTES: dict[tuple[str, str], Route] = {
    ("sagemaker", "CreateModel"): models.create,
    ("sagemaker", "DescribeModel"): models.describe,
    ("sagemaker", "DeleteModel"): models.delete,
    ("sagemaker", "ListModels"): listing.listing,
    ("sagemaker", "CreateEndpointConfig"): configs.create,
    ("sagemaker", "DescribeEndpointConfig"): configs.describe,
    ("sagemaker", "DeleteEndpointConfig"): configs.delete,
    ("sagemaker", "ListEndpointConfigs"): listing.listing,
    ("sagemaker", "CreateEndpoint"): endpoints.create,
    ("sagemaker", "DescribeEndpoint"): endpoints.describe,
    ("sagemaker", "DeleteEndpoint"): endpoints.delete,
    ("sagemaker", "ListEndpoints"): listing.listing,
    ("sagemaker", "UpdateEndpoint"): updates.update,
    ("sagemaker", "UpdateEndpointWeightsAndCapacities"): updates.weights,
    ("sagemaker", "AddTags"): tags.add,
    ("sagemaker", "ListTags"): tags.listing,
    ("sagemaker", "DeleteTags"): tags.delete,
    ("application-autoscaling", "RegisterScalableTarget"): targets.register,
    ("application-autoscaling", "DeregisterScalableTarget"): targets.deregister,
    ("application-autoscaling", "DescribeScalableTargets"): targets.describe,
    ("application-autoscaling", "DescribeScalingActivities"): targets.activities,
    ("application-autoscaling", "ListTagsForResource"): targets.list_tags,
    ("application-autoscaling", "TagResource"): targets.tag,
    ("application-autoscaling", "UntagResource"): targets.untag,
    ("application-autoscaling", "PutScalingPolicy"): policies.put,
    ("application-autoscaling", "DescribeScalingPolicies"): policies.describe,
    ("application-autoscaling", "DeleteScalingPolicy"): policies.delete,
    ("application-autoscaling", "PutScheduledAction"): schedules.put,
    ("application-autoscaling", "DescribeScheduledActions"): schedules.describe,
    ("application-autoscaling", "DeleteScheduledAction"): schedules.delete,
    ("iam", "CreateRole"): documents.check_trust,
    ("iam", "UpdateAssumeRolePolicy"): documents.check_trust,
    ("s3", "PutObject"): conditions.put,
    ("s3", "DeleteObject"): conditions.write,
    ("s3", "UploadPart"): parts.upload,
    ("s3", "ListParts"): parts.listing,
    ("s3", "CompleteMultipartUpload"): parts.finished,
    ("s3", "AbortMultipartUpload"): parts.finished,
    ("s3", "PutBucketPolicy"): bucket_policies.put,
    ("s3", "GetBucketPolicy"): bucket_policies.get,
    ("s3", "DeleteBucketPolicy"): bucket_policies.forget,
    ("s3", "DeleteBucket"): bucket_policies.forget,
    ("apigateway", "GET"): gateway.control,
    ("apigateway", "POST"): gateway.control,
    ("apigateway", "PATCH"): gateway.control,
    **CLOUDFORMATION,
    **REGISTRY,
    **{("lambda", operation): api.answer for operation in api.OPERATIONS},
}
