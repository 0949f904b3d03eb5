"""The lock in the bucket, on the embedded Cloud Storage. What it shares with S3's is tested there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from clouddeploy.engine.lock import LockMoved
from clouddeploy.errors import CloudError, CredentialsError, DeploymentLocked, NameConflict, NotFound
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.lock import ABSENT, GcsLock
from clouddeploy.providers.gcp.ownership import find_own
from clouddeploy.providers.gcp.survey import Survey
from tests.unit.gcp.breaking import Denying, Losing
from tests.unit.gcp.conftest import BUCKET, Cloud
from tests.unit.gcp.refusals import refusal

NewSurvey = Callable[[], Survey]
KEY = "_functions/digits/lock.json"


def body(gcp: Gcp) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gcp("storage", "DownloadObject", bucket=BUCKET, object=KEY)["body"])
    return found


def take(survey: Survey, **options: Any) -> GcsLock:
    lock = GcsLock(survey, **options)
    lock.acquire(lock.peek())
    return lock


def test_taking_it_makes_the_bucket_and_forgetting_it_removes_both(gcp: Gcp, survey: NewSurvey) -> None:
    lock = take(survey())
    assert body(gcp)["state"] == "held"
    with pytest.raises(DeploymentLocked):
        GcsLock(survey()).peek()
    lock.release(forget=True)
    assert not find_own(gcp, BUCKET)


def test_the_bucket_is_private_for_good_and_keeps_nothing_that_was_deleted(
    gcp: Gcp, survey: NewSurvey
) -> None:
    lock = take(survey())
    found = gcp("storage", "GetBucket", bucket=BUCKET)
    assert found["location"].lower() == "europe-west1"
    assert found["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    assert found["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"]
    lock.release(forget=True)


def test_giving_it_back_leaves_a_trace_that_hinders_nobody(gcp: Gcp, survey: NewSurvey) -> None:
    take(survey()).release(forget=False)
    assert body(gcp)["state"] == "released"
    take(survey()).release(forget=True)


def test_what_was_seen_before_somebody_else_took_it_is_not_good_enough(survey: NewSurvey) -> None:
    slow = GcsLock(survey())
    seen = slow.peek()
    assert seen == ABSENT
    quick = take(survey())
    with pytest.raises(DeploymentLocked):
        slow.acquire(seen)
    quick.release(forget=False)
    with pytest.raises(LockMoved):
        slow.acquire(seen)
    again = take(survey())
    again.release(forget=True)


@pytest.mark.parametrize("method", ["InsertObject", "CreateBucket", "DeleteBucket", "DeleteObject"])
def test_a_lost_answer_is_no_failure(gcp: Gcp, survey: NewSurvey, method: str) -> None:
    losing = Losing(gcp, method)
    take(survey()).release(forget=True)
    assert losing.times == 0
    assert not find_own(gcp, BUCKET)


def test_a_lock_all_of_whose_answers_were_lost_is_withdrawn(gcp: Gcp, survey: NewSurvey) -> None:
    take(survey()).release(forget=False)
    Losing(gcp, "InsertObject", times=5)
    with pytest.raises(CloudError, match="can't be reached"):
        take(survey())
    assert body(gcp)["state"] == "released"


def test_the_bucket_is_removed_again_when_the_lock_can_not_be_written(gcp: Gcp, survey: NewSurvey) -> None:
    Denying(gcp, "InsertObject", refusal(403, "no", status="PERMISSION_DENIED"))
    with pytest.raises(CredentialsError):
        take(survey())
    assert not find_own(gcp, BUCKET)


def test_it_is_renewed_while_it_is_held(gcp: Gcp, survey: NewSurvey) -> None:
    lock = take(survey(), lease_s=0.1)
    first, looks = body(gcp)["expires"], 400
    while body(gcp)["expires"] == first and looks:
        looks -= 1
    assert body(gcp)["expires"] > first
    lock.release(forget=True)


def test_a_removal_with_no_bucket_locks_nothing_and_makes_none(gcp: Gcp, survey: NewSurvey) -> None:
    lock = take(survey(), makes_bucket=False)
    lock.release(forget=True)
    assert not find_own(gcp, BUCKET)


def test_a_bucket_that_the_user_named_is_neither_made_nor_removed(gcp: Gcp) -> None:
    def look() -> Survey:
        return Survey(gcp, "ours", "digits", own=False)

    with pytest.raises(NotFound, match="'ours'"):
        take(look())
    gcp("storage", "CreateBucket", project="p", body={"name": "ours"})
    take(look()).release(forget=True)
    assert gcp("storage", "GetBucket", bucket="ours")["name"] == "ours"


def test_a_bucket_of_somebody_else_is_told_and_left_alone(cloud: Cloud, gcp: Gcp, survey: NewSurvey) -> None:
    cloud.taken.add(BUCKET)
    denied = Losing(gcp, "none")
    with pytest.raises(NameConflict, match=BUCKET) as caught:
        take(survey())
    assert "bucket=" in caught.value.fix
    assert "DeleteBucket" not in denied.calls
    assert getattr(caught.value, "__notes__", []) == []


def test_a_bucket_of_the_project_that_is_not_labelled_as_ours_is_left_alone(
    gcp: Gcp, survey: NewSurvey
) -> None:
    gcp("storage", "CreateBucket", project=gcp.project, body={"name": BUCKET})
    with pytest.raises(NameConflict, match="isn't clouddeploy's") as caught:
        GcsLock(survey()).peek()
    assert "--update-labels" in caught.value.fix
