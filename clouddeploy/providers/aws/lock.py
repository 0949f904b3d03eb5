"""A deployment's lock: an object in the bucket, written only if nobody wrote it since it was read.

S3 answers a conditional write with 412 when the condition doesn't hold (S3 User Guide, "How to prevent
object overwrites with conditional writes").
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from clouddeploy.engine.lock import LockMoved
from clouddeploy.errors import CloudDeployError, CloudError, DeploymentLocked
from clouddeploy.providers.aws import holder as who
from clouddeploy.providers.aws.bucket import make_bucket, missing_bucket, remove_bucket
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws.holder import RELEASED, Holder
from clouddeploy.providers.aws.survey import Survey

LEASE_S = 600.0
ABSENT = "absent"
MOVED = frozenset({"PreconditionFailed", "412", "NoSuchKey", "ConditionalRequestConflict"})


class S3Lock:
    """The lock of one deployment (see `clouddeploy.engine.lock.Lock`).

    Args:
        survey: the deployment's listing, from which `peek` knows whether a lock is there.
        own_bucket: the bucket is ours to make and to remove.
        makes_bucket: taking the lock makes a missing bucket; False for a removal, which has nothing
            to protect when there is no bucket.
        lease_s: seconds after which a lock that isn't renewed no longer counts.
    """

    def __init__(
        self, survey: Survey, *, own_bucket: bool, makes_bucket: bool = True, lease_s: float = LEASE_S
    ) -> None:
        self._survey, self._aws = survey, survey.aws
        self._own_bucket, self._makes_bucket = own_bucket, makes_bucket
        self._lease = timedelta(seconds=lease_s)
        self._held: Holder | None = None
        self._etag = ""
        self._over = threading.Event()
        self._renewer: threading.Thread | None = None

    def peek(self) -> str:
        """The lock's version: ``absent``, or the object's entity tag.

        Raises:
            DeploymentLocked: somebody holds it.
        """
        found = self._survey.objects().get(self._survey.lock_key)
        if found is None:
            return ABSENT
        self._refuse_held(self._read()[0])
        return found.etag

    def acquire(self, seen: str) -> None:
        """Take the lock if its version is still `seen`.

        Raises:
            LockMoved: somebody took it or gave it back since.
            DeploymentLocked: somebody holds it.
        """
        has_bucket = self._survey.has_bucket
        self._survey.spend()
        if not has_bucket and not self._makes_bucket:
            return
        if not has_bucket and not self._own_bucket:
            raise missing_bucket(self._survey.bucket)
        if not has_bucket:
            self._make_bucket_and_take(seen)
        else:
            self._take(seen)
        self._survey.locked = True
        self._over.clear()
        self._renewer = threading.Thread(target=self._renew, name="clouddeploy-lock", daemon=True)
        self._renewer.start()

    def release(self, *, forget: bool) -> None:
        """Give it back.

        What goes wrong without `forget` isn't told: the lock then ends with its process or lease.
        """
        if self._held is None:
            return
        self._stop_renewing()
        held, self._held = self._held, None
        who.forget(held.nonce)
        self._survey.locked = False
        if forget:
            self._aws("s3", "DeleteObject", Bucket=self._survey.bucket, Key=self._survey.lock_key)
            if self._own_bucket:
                remove_bucket(self._aws, self._survey.bucket)
            return
        try:
            self._put(held.body(RELEASED), IfMatch=self._etag)
        except CloudDeployError:
            # The deploy itself is done; a lock whose process no longer claims it holds nobody up here,
            # and elsewhere only until its lease ends.
            return

    def _make_bucket_and_take(self, seen: str) -> None:
        self._survey.made_bucket = True
        try:
            make_bucket(self._aws, self._survey.bucket)
            self._take(seen)
        except BaseException as error:
            try:
                remove_bucket(self._aws, self._survey.bucket)
            except CloudDeployError as second:
                error.add_note(f"bucket {self._survey.bucket!r} was made and could not be removed: {second}")
            raise

    def _take(self, seen: str) -> None:
        now = datetime.now(UTC)
        mine = Holder.here(since=now, expires=now + self._lease, nonce=uuid.uuid4().hex)
        condition = {"IfNoneMatch": "*"} if seen == ABSENT else {"IfMatch": seen}
        try:
            self._etag = self._put(mine.body(), **condition)
        except CloudError as error:
            if matches(error, {"NoSuchBucket"}) and not self._survey.made_bucket:
                raise LockMoved from error  # another deployment was the last in it, and went
            if not matches(error, MOVED):
                self._withdraw(mine, error, anew=seen == ABSENT)
                raise
            found, self._etag = self._read()
            if found is None or found.nonce != mine.nonce:  # else our own write, whose answer was lost
                self._refuse_held(found)
                raise LockMoved from error
        who.remember(mine.nonce)
        self._held = mine

    def _withdraw(self, mine: Holder, error: CloudError, *, anew: bool) -> None:
        """Take back a lock that was perhaps written, although every answer was lost."""
        try:
            found, etag = self._read()
            if found is None or found.nonce != mine.nonce:
                return
            if anew:
                self._aws("s3", "DeleteObject", Bucket=self._survey.bucket, Key=self._survey.lock_key)
            else:
                self._put(mine.body(RELEASED), IfMatch=etag)
        except CloudDeployError as second:
            error.add_note(f"the lock may have been taken, and could not be given back: {second}")

    def _put(self, body: bytes, **condition: str) -> str:
        answer = self._aws(
            "s3",
            "PutObject",
            Bucket=self._survey.bucket,
            Key=self._survey.lock_key,
            Body=body,
            ContentType="application/json",
            **condition,
        )
        return str(answer["ETag"])

    def _read(self) -> tuple[Holder | None, str]:
        missing = {"NoSuchKey", "NoSuchBucket", "404"}
        answer = self._aws.find(
            "s3", "GetObject", missing, Bucket=self._survey.bucket, Key=self._survey.lock_key
        )
        if answer is None:
            return None, ""
        body: Any = answer["Body"]
        return Holder.parse(body.read()), str(answer["ETag"])

    def _refuse_held(self, found: Holder | None) -> None:
        if found is None or not found.holds(datetime.now(UTC)):
            return
        name = self._survey.name
        raise DeploymentLocked(
            f"{name!r} is being deployed by {found.owner} (process {found.pid}) since {found.since}",
            why=f"one deploy of a name at a time; this lock ends at {found.expires} unless it is renewed",
            fix="wait until that deploy is done, then run it again",
        )

    def _renew(self) -> None:
        half_s = self._lease.total_seconds() / 2
        pause_s = half_s
        while not self._over.wait(pause_s):
            try:
                if not self._renewed():
                    return  # somebody took it over; giving it back will find that, too
                pause_s = half_s
            except CloudDeployError:
                pause_s = half_s / 10  # the lease has still half its time: try again within it

    def _renewed(self) -> bool:
        held = self._held
        if held is None:
            return False
        expires = (datetime.now(UTC) + self._lease).isoformat(timespec="milliseconds")
        try:
            self._etag = self._put(replace(held, expires=expires).body(), IfMatch=self._etag)
        except CloudError as error:
            if not matches(error, MOVED):
                raise
            found, self._etag = self._read()
            return (
                found is not None and found.nonce == held.nonce
            )  # else our own write, whose answer was lost
        return True

    def _stop_renewing(self) -> None:
        self._over.set()
        if self._renewer is not None:
            self._renewer.join(timeout=30)
            self._renewer = None
