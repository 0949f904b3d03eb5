"""The lock in the bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from clouddeploy.engine.lock import LockMoved
from clouddeploy.errors import CloudDeployError, CredentialsError, DeploymentLocked, NotFound
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.lock import ABSENT, S3Lock
from clouddeploy.providers.aws.survey import Survey
from tests.unit.aws.conftest import BUCKET
from tests.unit.aws.test_client import refusal

NewSurvey = Callable[[], Survey]
KEY = "digits/lock.json"


def body(aws: Aws) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(aws("s3", "GetObject", Bucket=BUCKET, Key=KEY)["Body"].read())
    return found


def rewrite(aws: Aws, **changes: Any) -> None:
    text = json.dumps({**body(aws), **changes})
    aws("s3", "PutObject", Bucket=BUCKET, Key=KEY, Body=text.encode())


def buckets(aws: Aws) -> list[str]:
    return [b["Name"] for b in aws("s3", "ListBuckets").get("Buckets", [])]


def take(survey: Survey, **options: Any) -> S3Lock:
    lock = S3Lock(survey, own_bucket=True, **options)
    lock.acquire(lock.peek())
    return lock


def test_taking_it_makes_the_bucket_and_says_who_holds_it_since_when(aws: Aws, survey: NewSurvey) -> None:
    lock = take(survey())
    found = body(aws)
    assert (found["state"], found["pid"]) == ("held", os.getpid())
    assert {"owner", "host", "started", "since", "expires"} <= set(found)
    lock.release(forget=True)
    assert buckets(aws) == []


def test_a_second_deploy_is_told_who_holds_it(survey: NewSurvey) -> None:
    held = take(survey())
    with pytest.raises(DeploymentLocked, match=f"process {os.getpid()}"):
        S3Lock(survey(), own_bucket=True).peek()
    held.release(forget=True)


def test_what_was_seen_before_somebody_else_took_it_is_not_good_enough(aws: Aws, survey: NewSurvey) -> None:
    slow = S3Lock(survey(), own_bucket=True)
    seen = slow.peek()
    assert seen == ABSENT
    quick = take(survey())
    with pytest.raises(DeploymentLocked):
        slow.acquire(seen)
    quick.release(forget=False)
    with pytest.raises(LockMoved):
        slow.acquire(seen)
    again = S3Lock(survey(), own_bucket=True)
    again.acquire(again.peek())
    again.release(forget=True)
    assert buckets(aws) == []


def test_giving_it_back_leaves_a_small_trace_that_hinders_nobody(aws: Aws, survey: NewSurvey) -> None:
    take(survey()).release(forget=False)
    assert body(aws)["state"] == "released"
    take(survey()).release(forget=True)
    assert buckets(aws) == []


def test_an_expired_lease_does_not_count(aws: Aws, survey: NewSurvey) -> None:
    take(survey())
    rewrite(aws, host="elsewhere", expires="2001-01-01T00:00:00.000+00:00", nonce="of somebody else")
    take(survey()).release(forget=True)


def test_a_lease_of_another_machine_counts_until_it_expires(aws: Aws, survey: NewSurvey) -> None:
    take(survey())
    rewrite(aws, host="elsewhere", pid=1, owner="ann@laptop", nonce="of somebody else")
    with pytest.raises(DeploymentLocked, match="ann@laptop"):
        S3Lock(survey(), own_bucket=True).peek()


def test_a_process_of_this_machine_that_is_dead_does_not_count(aws: Aws, survey: NewSurvey) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    take(survey())
    rewrite(aws, pid=process.pid, nonce="of somebody else")
    take(survey()).release(forget=True)


def test_a_process_number_that_was_given_anew_does_not_count(aws: Aws, survey: NewSurvey) -> None:
    take(survey())
    rewrite(aws, pid=os.getppid(), started="1", nonce="of somebody else")
    take(survey()).release(forget=True)


def test_a_living_process_of_this_machine_counts(aws: Aws, survey: NewSurvey) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        take(survey())
        rewrite(aws, pid=process.pid, started="", nonce="of somebody else")
        with pytest.raises(DeploymentLocked):
            S3Lock(survey(), own_bucket=True).peek()
    finally:
        process.communicate()


def test_a_lock_that_can_not_be_read_hinders_nobody(aws: Aws, survey: NewSurvey) -> None:
    take(survey())
    aws("s3", "PutObject", Bucket=BUCKET, Key=KEY, Body=b"garbage")
    take(survey()).release(forget=True)


def test_it_is_renewed_while_it_is_held(aws: Aws, survey: NewSurvey) -> None:
    lock = take(survey(), lease_s=0.1)
    first = body(aws)["expires"]
    deadline = 200
    while body(aws)["expires"] == first and deadline:
        deadline -= 1
    assert body(aws)["expires"] > first
    lock.release(forget=True)


def test_the_bucket_is_removed_again_when_the_lock_can_not_be_written(aws: Aws, survey: NewSurvey) -> None:
    inner = aws.transport

    def denying(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "PutObject":
            raise refusal("AccessDenied", status=403)
        return inner(service, operation, params)

    aws.transport = denying
    with pytest.raises(CredentialsError):
        take(survey())
    assert buckets(aws) == []


def test_a_lost_answer_to_the_taking_is_no_failure(aws: Aws, survey: NewSurvey) -> None:
    inner, lost = aws.transport, []

    def losing(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        answer = inner(service, operation, params)
        if (
            operation in ("CreateBucket", "PutObject", "DeleteObject", "DeleteBucket")
            and operation not in lost
        ):
            lost.append(operation)
            raise ConnectionResetError("lost")
        return answer

    aws.transport = losing
    take(survey()).release(forget=True)
    assert lost == ["CreateBucket", "PutObject", "DeleteObject", "DeleteBucket"]
    assert buckets(aws) == []


def test_giving_it_back_without_a_trace_tells_when_that_fails(aws: Aws, survey: NewSurvey) -> None:
    lock, inner = take(survey()), aws.transport

    def denying(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        raise refusal("AccessDenied", status=403)

    aws.transport = denying
    with pytest.raises(CloudDeployError):
        lock.release(forget=True)
    aws.transport = inner
    take(survey()).release(forget=True)
    assert buckets(aws) == []


def test_a_removal_takes_no_lock_where_there_is_no_bucket(aws: Aws, survey: NewSurvey) -> None:
    lock = S3Lock(survey(), own_bucket=True, makes_bucket=False)
    lock.acquire(lock.peek())
    lock.release(forget=True)
    assert buckets(aws) == []


def test_a_bucket_of_the_users_own_is_neither_made_nor_removed(aws: Aws, survey: NewSurvey) -> None:
    lock = S3Lock(survey(), own_bucket=False)
    with pytest.raises(NotFound, match=BUCKET):
        lock.acquire(lock.peek())
    where = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    aws("s3", "CreateBucket", Bucket=BUCKET, **where)
    lock = S3Lock(survey(), own_bucket=False)
    lock.acquire(lock.peek())
    lock.release(forget=True)
    assert buckets(aws) == [BUCKET]
