"""AWS's managed policies, such as the one that execution roles usually have.

Every account has them ("AWS managed policies", AWS Managed Policy Reference). moto ships their text, and
knows them only when an environment variable says so before it is imported.
"""

from __future__ import annotations

import json

from clouddeploy.emulator.settings import ACCOUNT


def add_managed() -> None:
    """Put the policies where moto looks for managed ones."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data
    from moto.iam.models import AWSManagedPolicy, iam_backends

    known = iam_backends[ACCOUNT]["aws"].managed_policies
    for name, data in json.loads(aws_managed_policies_data).items():
        policy = AWSManagedPolicy.from_data(name, ACCOUNT, "us-east-1", data)
        known.setdefault(policy.arn, policy)
