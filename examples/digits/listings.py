"""What the embedded cloud lists, by kind: asked with each provider's own clients, not with clouddeploy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

from clouddeploy.emulator.connection import Connection

PROJECT, REGION = "embedded", "europe-west1"
GOOGLE = ("cloud-functions", "cloud-run")


def listed(cloud: Connection, target: str) -> dict[str, list[str]]:
    """Everything that a deploy to `target` can make, by kind."""
    return google(cloud) if target in GOOGLE else aws(cloud.env(), cloud.region)


def aws(environ: Mapping[str, str], region: str) -> dict[str, list[str]]:
    """With boto3."""
    import boto3

    def client(service: str) -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=environ["AWS_ENDPOINT_URL"],
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        )

    def names(rows: list[dict[str, Any]], key: str) -> list[str]:
        return [row[key] for row in rows]

    sagemaker, scaling = client("sagemaker"), client("application-autoscaling")
    targets = [
        row
        for space in ("sagemaker", "lambda")
        for row in scaling.describe_scalable_targets(ServiceNamespace=space)["ScalableTargets"]
    ]
    return {
        "buckets": names(client("s3").list_buckets()["Buckets"], "Name"),
        "roles": names(client("iam").list_roles()["Roles"], "RoleName"),
        "models": names(sagemaker.list_models()["Models"], "ModelName"),
        "endpoint configs": names(sagemaker.list_endpoint_configs()["EndpointConfigs"], "EndpointConfigName"),
        "endpoints": names(sagemaker.list_endpoints()["Endpoints"], "EndpointName"),
        "functions": names(client("lambda").list_functions()["Functions"], "FunctionName"),
        "scalable targets": names(targets, "ResourceId"),
        "alarms": names(client("cloudwatch").describe_alarms()["MetricAlarms"], "AlarmName"),
    }


def google(cloud: Connection) -> dict[str, list[str]]:
    """With the clients of Cloud Storage, Cloud Functions and Cloud Run; service accounts by REST."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import functions_v2, run_v2, storage

    place = f"projects/{PROJECT}/locations/{REGION}"
    reach: dict[str, Any] = {
        "credentials": AnonymousCredentials(),
        "client_options": {"api_endpoint": cloud.google_url},
    }
    buckets = storage.Client(project=PROJECT, **reach)
    functions = functions_v2.FunctionServiceClient(transport="rest", **reach)
    services = run_v2.ServicesClient(transport="rest", **reach)
    request = Request(
        f"{cloud.google_url}/v1/projects/{PROJECT}/serviceAccounts",
        headers={"Authorization": "Bearer embedded-cloud"},
    )
    with urlopen(request) as answer:
        accounts = json.load(answer).get("accounts", ())
    return {
        "buckets": [bucket.name for bucket in buckets.list_buckets()],
        "functions": [function.name for function in functions.list_functions(parent=place)],
        "services": [service.name for service in services.list_services(parent=place)],
        "service accounts": [account["email"] for account in accounts],
    }
