"""The SageMaker SDK and ours on the same endpoint."""

from __future__ import annotations

import importlib.util

import pytest

from clouddeploy.model import Model
from clouddeploy.providers.sagemaker import SageMaker
from tests.unit.sagemaker.conftest import WISH, Bench


@pytest.mark.skipif(importlib.util.find_spec("sagemaker") is None, reason="the SageMaker SDK isn't installed")
def test_the_sdks_endpoint_is_the_same_endpoint_and_can_be_invoked(bench: Bench, model: Model) -> None:
    endpoint = bench.deployer().deploy(model, "digits", **WISH)
    theirs = endpoint.to_sagemaker()
    assert type(theirs).__module__ == "sagemaker.core.resources"
    assert theirs.endpoint_status == "InService"
    assert theirs.endpoint_arn == endpoint.describe()["endpoint_arn"]
    answer = theirs.invoke(body=b'{"input": [1, 1, 1, 1]}', content_type="application/json")
    assert b"prediction" in answer.body.read()


def test_the_permissions_of_one_who_deploys_are_a_policy_document() -> None:
    policy = SageMaker.permissions()
    actions = policy["Statement"][0]["Action"]
    assert actions == sorted(set(actions))
    assert {"sagemaker:CreateEndpoint", "iam:PassRole", "s3:PutObject", "s3:ListBucket"} <= set(actions)
    assert not any("*" in action for action in actions)
