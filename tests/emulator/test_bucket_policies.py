"""Bucket policies are kept as given, and what can't be judged on loopback doesn't act."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import REGION, Rig, refused

EVERYBODY = {"Principal": "*", "Action": "s3:*"}


@pytest.fixture
def bucket(rig: Rig) -> str:
    """A bucket with one object."""
    name = rig.fresh("policy")
    rig.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    rig.s3.put_object(Bucket=name, Key="x", Body=b"1")
    return name


def policy(bucket: str, **more: Any) -> str:
    """A policy of one statement about everything in a bucket."""
    statement = {**EVERYBODY, "Effect": "Deny", "Resource": f"arn:aws:s3:::{bucket}/*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_secure_transport_counts_as_given_on_loopback(rig: Rig, bucket: str) -> None:
    """osls and CDK put "deny what isn't TLS" on the buckets that they make."""
    text = policy(bucket, Condition={"Bool": {"aws:SecureTransport": False}})
    rig.s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert rig.s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"1"
    assert rig.s3.get_bucket_policy(Bucket=bucket)["Policy"] == text


def test_a_denial_without_condition_acts_until_it_is_taken_away(rig: Rig, bucket: str) -> None:
    rig.s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, Action="s3:GetObject"))
    assert refused(rig.s3.get_object, Bucket=bucket, Key="x").status == 403
    conditional = policy(bucket, Condition={"Bool": {"aws:SecureTransport": False}})
    rig.s3.put_bucket_policy(Bucket=bucket, Policy=conditional)
    assert rig.s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"1"
    rig.s3.delete_bucket_policy(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        rig.s3.get_bucket_policy(Bucket=bucket)


def test_a_policy_goes_with_its_bucket(rig: Rig, bucket: str) -> None:
    rig.s3.put_bucket_policy(
        Bucket=bucket, Policy=policy(bucket, Condition={"Bool": {"aws:SecureTransport": False}})
    )
    rig.s3.delete_object(Bucket=bucket, Key="x")
    rig.s3.delete_bucket(Bucket=bucket)
    rig.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    assert refused(rig.s3.get_bucket_policy, Bucket=bucket).code == "NoSuchBucketPolicy"


@pytest.mark.parametrize("text", ["{", "[]", '{"Statement": []}', '{"Statement": [{"Effect": "Deny"}]}'])
def test_what_is_no_policy_is_refused(rig: Rig, bucket: str, text: str) -> None:
    assert refused(rig.s3.put_bucket_policy, Bucket=bucket, Policy=text).code == "MalformedPolicy"
