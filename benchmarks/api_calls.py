"""API calls of a deploy, against a minimal hand-written script that makes the same resources.

Both run against the embedded cloud, with the same waiting times, and both poll as their authors
would: the script with boto3's own waiter settings scaled down, ours with its own.
"""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import verdict
from clouddeploy.spec import Autoscaling, Compute
from clouddeploy.testing.conformance import recorded
from clouddeploy.testing.models import linear_model
from clouddeploy.testing.rigs import mutates, sagemaker

NAME = "counted"
IMAGE = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
WISH = {
    "compute": Compute(instance="ml.m5.large"),
    "autoscaling": Autoscaling(min=1, max=4, requests_per_minute=600),
}
TAGS = [{"Key": "team", "Value": "ml"}]


def script(url: str, archive: bytes) -> list[str]:
    """The minimal script: the calls that somebody would write by hand for the same resources."""
    import boto3

    calls: list[str] = []
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")
    session.events.register("before-call", lambda model, **_: calls.append(model.name))
    aws: dict[str, Any] = {
        name: session.client(name, endpoint_url=url)
        for name in ("sts", "s3", "iam", "sagemaker", "application-autoscaling")
    }
    account = aws["sts"].get_caller_identity()["Account"]
    bucket = f"by-hand-{account}-eu-west-1"
    aws["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws["s3"].put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    aws["s3"].put_object(Bucket=bucket, Key="model.tar.gz", Body=io.BytesIO(archive))
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = aws["iam"].create_role(RoleName="by-hand", AssumeRolePolicyDocument=json.dumps(trust), Tags=TAGS)
    rights = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "logs:*"], "Resource": "*"}],
    }
    aws["iam"].put_role_policy(RoleName="by-hand", PolicyName="serve", PolicyDocument=json.dumps(rights))
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}
    aws["sagemaker"].create_model(
        ModelName="by-hand", PrimaryContainer=container, ExecutionRoleArn=role["Role"]["Arn"], Tags=TAGS
    )
    variant = {
        "VariantName": "main",
        "ModelName": "by-hand",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    aws["sagemaker"].create_endpoint_config(
        EndpointConfigName="by-hand", ProductionVariants=[variant], Tags=TAGS
    )
    aws["sagemaker"].create_endpoint(EndpointName="by-hand", EndpointConfigName="by-hand", Tags=TAGS)
    waiter = aws["sagemaker"].get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="by-hand", WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    _scale(aws["application-autoscaling"])
    return calls


def _scale(scaling: Any) -> None:
    same = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/by-hand/variant/main",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**same, MinCapacity=1, MaxCapacity=4)
    scaling.put_scaling_policy(
        **same,
        PolicyName="requests",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 600.0,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
        },
    )


def main() -> None:
    """Print the ratio for a first deploy and the mutating calls of an unchanged one."""
    with tempfile.TemporaryDirectory() as folder, sagemaker() as rig:
        model = linear_model(Path(folder))
        archive = (
            rig.deployer().package(model, Path(folder) / "model.tar.gz", compression="gzip").read_bytes()
        )
        by_hand = script(rig.cloud.url, archive)
        deployer, calls = recorded(rig)
        deployer.deploy(model, NAME, **WISH)
        ours = [operation for _, operation in calls.calls]
        again, repeated = recorded(rig)
        again.deploy(model, NAME, **WISH)
        changes = [c for c in repeated.calls if mutates(c)]
    print(f"by hand, {len(by_hand)} calls: {' '.join(by_hand)}")
    print(f"ours, {len(ours)} calls: {' '.join(ours)}")
    ratio = len(ours) / len(by_hand)
    verdict("API calls of a first deploy / minimal script", ratio, "at most 1.3", ratio <= 1.3)
    print(f"an unchanged deploy: {len(repeated.calls)} calls: {' '.join(o for _, o in repeated.calls)}")
    verdict("mutating calls of an unchanged deploy", float(len(changes)), "0", not changes)


if __name__ == "__main__":
    main()
