"""The AWS managed policy that execution roles usually have.

moto knows AWS's managed policies only when told to load all of them, which takes seconds. Every new
account's IAM gets this one; its full text is AWS's, here stands what matters for reading model data
("AWS managed policy: AmazonSageMakerFullAccess", Amazon SageMaker Developer Guide).
"""

from __future__ import annotations

import json

from clouddeploy.emulator.settings import ACCOUNT

NAME = "AmazonSageMakerFullAccess"
STATEMENTS = [
    {"Effect": "Allow", "Action": ["sagemaker:*"], "Resource": "*"},
    {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
        "Resource": [
            "arn:aws:s3:::*SageMaker*",
            "arn:aws:s3:::*Sagemaker*",
            "arn:aws:s3:::*sagemaker*",
            "arn:aws:s3:::*aws-glue*",
        ],
    },
]


def add_managed() -> None:
    """Put the policy where moto looks for managed ones."""
    from moto.iam.models import AWSManagedPolicy, iam_backends

    data = {
        "CreateDate": "2017-11-29T13:07:59+00:00",
        "UpdateDate": "2017-11-29T13:07:59+00:00",
        "DefaultVersionId": "v1",
        "Path": "/",
        "Document": {"Version": "2012-10-17", "Statement": STATEMENTS},
    }
    backend = iam_backends[ACCOUNT]["aws"]
    policy = AWSManagedPolicy.from_data(NAME, ACCOUNT, "us-east-1", json.loads(json.dumps(data)))
    backend.managed_policies.setdefault(policy.arn, policy)
