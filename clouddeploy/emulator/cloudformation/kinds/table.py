"""Which type is made how."""

from __future__ import annotations

from collections.abc import Mapping

from clouddeploy.emulator.cloudformation.kinds.functions import Alias, Function, Permission, Url, Version
from clouddeploy.emulator.cloudformation.kinds.kind import Kind, Plain
from clouddeploy.emulator.cloudformation.kinds.roles import Role
from clouddeploy.emulator.cloudformation.kinds.scaling import ScalableTarget, ScalingPolicy
from clouddeploy.emulator.cloudformation.kinds.storage import Bucket, BucketPolicy
from clouddeploy.emulator.cloudformation.kinds.watching import Alarm, LogGroup

API = Plain(
    service="apigatewayv2", create_call="CreateApi", update_call="UpdateApi", delete_call="DeleteApi",
    member="ApiId", result="ApiId", attributes={"ApiId": "ApiId", "ApiEndpoint": "ApiEndpoint"},
    known=("ApiKeySelectionExpression", "CorsConfiguration", "Description", "DisableExecuteApiEndpoint",
           "DisableSchemaValidation", "IpAddressType", "Name", "ProtocolType", "RouteSelectionExpression",
           "Tags", "Version"),
    replaced_by=("ProtocolType",),
)  # fmt: skip
STAGE = Plain(
    service="apigatewayv2", create_call="CreateStage", update_call="UpdateStage", delete_call="DeleteStage",
    member="StageName", parents=("ApiId",),
    known=("AccessLogSettings", "ApiId", "AutoDeploy", "DefaultRouteSettings", "DeploymentId", "Description",
           "RouteSettings", "StageName", "StageVariables", "Tags"),
    replaced_by=("ApiId", "StageName"),
)  # fmt: skip
INTEGRATION = Plain(
    service="apigatewayv2", create_call="CreateIntegration", update_call="UpdateIntegration",
    delete_call="DeleteIntegration", member="IntegrationId", result="IntegrationId", parents=("ApiId",),
    attributes={"IntegrationId": "IntegrationId"},
    known=("ApiId", "ConnectionType", "Description", "IntegrationMethod", "IntegrationType",
           "IntegrationUri", "PayloadFormatVersion", "TimeoutInMillis"),
    replaced_by=("ApiId",),
)  # fmt: skip
ROUTE = Plain(
    service="apigatewayv2", create_call="CreateRoute", update_call="UpdateRoute", delete_call="DeleteRoute",
    member="RouteId", result="RouteId", parents=("ApiId",), attributes={"RouteId": "RouteId"},
    known=("ApiId", "AuthorizationScopes", "AuthorizationType", "AuthorizerId", "OperationName", "RouteKey",
           "Target"),
    replaced_by=("ApiId",),
)  # fmt: skip
AUTHORIZER = Plain(
    service="apigatewayv2", create_call="CreateAuthorizer", update_call="UpdateAuthorizer",
    delete_call="DeleteAuthorizer", member="AuthorizerId", result="AuthorizerId", parents=("ApiId",),
    attributes={"AuthorizerId": "AuthorizerId"},
    known=("ApiId", "AuthorizerPayloadFormatVersion", "AuthorizerResultTtlInSeconds", "AuthorizerType",
           "AuthorizerUri", "EnableSimpleResponses", "IdentitySource", "JwtConfiguration", "Name"),
    replaced_by=("ApiId",),
)  # fmt: skip

KINDS: Mapping[str, Kind] = {
    "AWS::ApiGatewayV2::Api": API,
    "AWS::ApiGatewayV2::Authorizer": AUTHORIZER,
    "AWS::ApiGatewayV2::Integration": INTEGRATION,
    "AWS::ApiGatewayV2::Route": ROUTE,
    "AWS::ApiGatewayV2::Stage": STAGE,
    "AWS::ApplicationAutoScaling::ScalableTarget": ScalableTarget(),
    "AWS::ApplicationAutoScaling::ScalingPolicy": ScalingPolicy(),
    "AWS::CloudWatch::Alarm": Alarm(),
    "AWS::IAM::Role": Role(),
    "AWS::Lambda::Alias": Alias(),
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::Permission": Permission(),
    "AWS::Lambda::Url": Url(),
    "AWS::Lambda::Version": Version(),
    "AWS::Logs::LogGroup": LogGroup(),
    "AWS::S3::Bucket": Bucket(),
    "AWS::S3::BucketPolicy": BucketPolicy(),
}


def kind_of(name: str) -> Kind | None:
    """How resources of a type are made; None when neither this table nor moto knows it."""
    if name in KINDS:
        return KINDS[name]
    from clouddeploy.emulator.backends.models import model_of
    from clouddeploy.emulator.cloudformation.kinds.foreign import Foreign

    model = model_of(name)
    return None if model is None else Foreign(model)
