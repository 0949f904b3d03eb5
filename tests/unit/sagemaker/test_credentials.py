"""What is told where credentials or the region are missing. No network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clouddeploy.errors import CredentialsError
from clouddeploy.providers.sagemaker import SageMaker
from clouddeploy.spec import Compute, Deployment


def test_a_missing_region_is_told_before_anything_is_done(wish: Callable[..., Deployment]) -> None:
    with pytest.raises(CredentialsError, match="no AWS region"):
        SageMaker().compile(wish())


def test_missing_credentials_are_told_with_where_they_were_looked_for() -> None:
    with pytest.raises(CredentialsError, match="no usable AWS credentials") as caught:
        SageMaker(region="eu-west-1", endpoint_url="http://127.0.0.1:9", poll_s=0).status("digits")
    assert "AWS_ACCESS_KEY_ID" in caught.value.why


def test_a_profile_that_does_not_exist_is_named() -> None:
    with pytest.raises(CredentialsError, match="no-such-profile"):
        SageMaker(profile="no-such-profile").status("digits")


def test_an_image_of_ones_own_is_taken_for_what_it_is(wish: Callable[..., Deployment]) -> None:
    deployment = wish(compute=Compute(instance="ml.inf2.xlarge"))
    assert [f.field for f in SageMaker().check(deployment)] == ["compute.instance"]
    assert list(SageMaker(image="registry/neuron:1").check(deployment)) == []
