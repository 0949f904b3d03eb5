"""The same over HTTP, through boto3, against moto's S3."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from clouddeploy.errors import CloudError
from clouddeploy.packaging import Artifact, Member
from clouddeploy.providers.aws.client import Aws, BotoTransport
from clouddeploy.providers.aws.multipart import PART_BYTES
from clouddeploy.providers.aws.upload import exists, remove, stored, upload

PREFIX = "digits/0123abc/"
KEYS = {"region": "eu-west-1", "access_key_id": "test", "secret_access_key": "test"}


class Counting:
    """boto3 that counts its calls, and refuses the n-th of one operation."""

    def __init__(self, url: str) -> None:
        self._boto = BotoTransport(endpoint_url=url, **KEYS)
        self.calls: list[str] = []
        self.refused: tuple[str, int] = ("", 0)

    def __call__(self, service, operation, params):
        self.calls.append(operation)
        if (operation, self.calls.count(operation)) == self.refused:
            from botocore.exceptions import ClientError

            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)
        return self._boto(service, operation, params)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def boto(url) -> Counting:
    return Counting(url)


@pytest.fixture
def aws(url, boto) -> Iterator[Aws]:
    made = Aws(endpoint_url=url, transport=boto, retry_delay_s=0, **KEYS)
    made("s3", "CreateBucket", Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield made
    remove(made, "bucket", "digits/")
    made("s3", "DeleteBucket", Bucket="bucket")


@pytest.mark.parametrize("form", ["gzip", "prefix"])
def test_an_artifact_goes_up_breaks_off_goes_on_and_is_taken_away(aws, boto, on_disk, form):
    noise = random.Random(2).randbytes(2 * PART_BYTES + 9)
    artifact = Artifact(form, (Member.of_bytes("clouddeploy.json", b"{}"), on_disk("w.bin", noise)))
    boto.refused = ("UploadPart", 2)
    with pytest.raises((CloudError, PermissionError)):
        upload(aws, "bucket", PREFIX, artifact, threads=1)
    assert not exists(aws, "bucket", PREFIX, form)
    assert stored(aws, "bucket", "digits/") == (PREFIX,)

    boto.refused = ("", 0)
    boto.calls.clear()
    upload(aws, "bucket", PREFIX, artifact)
    assert boto.calls.count("UploadPart") == 2
    assert boto.calls.count("CreateMultipartUpload") == 0
    assert exists(aws, "bucket", PREFIX, form)
    if form == "prefix":
        assert aws("s3", "GetObject", Bucket="bucket", Key=PREFIX + "w.bin")["Body"].read() == noise

    remove(aws, "bucket", PREFIX)
    assert not exists(aws, "bucket", PREFIX, form)
    assert stored(aws, "bucket", "digits/") == ()
    assert "Contents" not in aws("s3", "ListObjectsV2", Bucket="bucket")
    assert "Uploads" not in aws("s3", "ListMultipartUploads", Bucket="bucket")


@pytest.mark.parametrize("form", ["gzip", "prefix"])
def test_a_small_one_is_sent_once(aws, boto, form):
    artifact = Artifact(
        form, (Member.of_bytes("clouddeploy.json", b"{}"), Member.of_bytes("é w.bin", b"123"))
    )
    upload(aws, "bucket", PREFIX, artifact)
    upload(aws, "bucket", PREFIX, artifact)
    assert exists(aws, "bucket", PREFIX, form)


def test_a_bucket_that_is_not_there_holds_nothing(aws):
    assert not exists(aws, "no-such-bucket", PREFIX, "gzip")
    assert stored(aws, "no-such-bucket", "digits/") == ()
    remove(aws, "no-such-bucket", PREFIX)
