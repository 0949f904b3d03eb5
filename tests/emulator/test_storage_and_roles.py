"""S3 and IAM behave as deploys and locks rely on."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import threading

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import IMAGE, TRUST, Rig, refused


def test_a_put_can_demand_that_nothing_is_there(rig: Rig) -> None:
    """ "How to prevent object overwrites with conditional writes", Amazon S3 User Guide: If-None-Match."""
    key = rig.fresh("key")
    rig.s3.put_object(Bucket=rig.bucket, Key=key, Body=b"1", IfNoneMatch="*")
    found = refused(rig.s3.put_object, Bucket=rig.bucket, Key=key, Body=b"2", IfNoneMatch="*")
    assert (found.code, found.status) == ("PreconditionFailed", 412)


def test_of_many_conditional_puts_at_once_one_succeeds(rig: Rig) -> None:
    """ "Conditional writes", Amazon S3 User Guide: concurrent requests, the first to finish wins."""
    for _ in range(5):
        key = rig.fresh("key")
        won: list[str] = []
        lost: list[str] = []

        def put(name: str, key: str = key, won: list[str] = won, lost: list[str] = lost) -> None:
            try:
                rig.s3.put_object(Bucket=rig.bucket, Key=key, Body=name.encode(), IfNoneMatch="*")
                won.append(name)
            except ClientError as error:
                lost.append(error.response["Error"]["Code"])

        threads = [threading.Thread(target=put, args=(str(n),)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(lost) == {"PreconditionFailed"}
        assert [rig.s3.get_object(Bucket=rig.bucket, Key=key)["Body"].read().decode()] == won


def test_a_multipart_upload_can_demand_that_nothing_is_there(rig: Rig) -> None:
    """API_CompleteMultipartUpload, If-None-Match."""
    key = rig.fresh("key")
    rig.s3.put_object(Bucket=rig.bucket, Key=key, Body=b"1")
    upload = rig.s3.create_multipart_upload(Bucket=rig.bucket, Key=key)["UploadId"]
    where = {"Bucket": rig.bucket, "Key": key, "UploadId": upload}
    tag = rig.s3.upload_part(**where, PartNumber=1, Body=b"2")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    found = refused(rig.s3.complete_multipart_upload, **where, MultipartUpload=parts, IfNoneMatch="*")
    assert found.status == 412
    assert rig.s3.get_object(Bucket=rig.bucket, Key=key)["Body"].read() == b"1"


def test_roles_can_be_made_and_listed_at_once(rig: Rig) -> None:
    """API_CreateRole, API_ListRoles: moto's own collections aren't made for threads."""
    names = [rig.fresh("role") for _ in range(40)]
    wrong: list[Exception] = []

    def work(some: list[str]) -> None:
        try:
            for name in some:
                rig.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
                rig.iam.list_roles()
        except ClientError as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(names[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_put_and_a_delete_can_demand_a_certain_version(rig: Rig) -> None:
    """ "Conditional writes" and "Conditional deletes", Amazon S3 User Guide: If-Match."""
    key = rig.fresh("key")
    first = rig.s3.put_object(Bucket=rig.bucket, Key=key, Body=b"1")["ETag"]
    second = rig.s3.put_object(Bucket=rig.bucket, Key=key, Body=b"2", IfMatch=first)["ETag"]
    for call, more in ((rig.s3.put_object, {"Body": b"3"}), (rig.s3.delete_object, {})):
        found = refused(call, Bucket=rig.bucket, Key=key, IfMatch=first, **more)
        assert (found.code, found.status) == ("PreconditionFailed", 412)
    rig.s3.delete_object(Bucket=rig.bucket, Key=key, IfMatch=second)
    assert refused(rig.s3.put_object, Bucket=rig.bucket, Key=key, Body=b"3", IfMatch=second).status == 404


@pytest.mark.parametrize("checksum", ["ChecksumSHA256", "ChecksumCRC32", "ContentMD5"])
def test_a_body_that_differs_from_its_digest_is_refused(rig: Rig, checksum: str) -> None:
    """ "Checking object integrity in Amazon S3", Amazon S3 User Guide: BadDigest."""
    sizes = {"ChecksumSHA256": 32, "ChecksumCRC32": 4, "ContentMD5": 16}
    wrong = base64.b64encode(bytes(sizes[checksum])).decode()
    wish = {"Bucket": rig.bucket, "Key": rig.fresh("key"), "Body": b"data", checksum: wrong}
    assert refused(rig.s3.put_object, **wish).code == "BadDigest"
    assert refused(rig.s3.head_object, Bucket=rig.bucket, Key=wish["Key"]).status == 404


def test_a_multipart_upload_can_be_found_resumed_and_checked(rig: Rig) -> None:
    """API_ListMultipartUploads, API_ListParts, API_CompleteMultipartUpload with checksums."""
    key, parts = rig.fresh("key"), [b"a" * (5 << 20), b"b" * 100]
    upload = rig.s3.create_multipart_upload(Bucket=rig.bucket, Key=key, ChecksumAlgorithm="SHA256")[
        "UploadId"
    ]
    where = {"Bucket": rig.bucket, "Key": key, "UploadId": upload}
    digests = [base64.b64encode(hashlib.sha256(p).digest()).decode() for p in parts]
    wrong = refused(rig.s3.upload_part, **where, PartNumber=1, Body=parts[0], ChecksumSHA256=digests[1])
    assert wrong.code == "BadDigest"
    sent = [
        rig.s3.upload_part(**where, PartNumber=n, Body=p, ChecksumSHA256=d)["ETag"]
        for n, (p, d) in enumerate(zip(parts, digests, strict=True), 1)
    ]
    uploads = rig.s3.list_multipart_uploads(Bucket=rig.bucket, Prefix=key)["Uploads"]
    assert [u["UploadId"] for u in uploads] == [upload]
    listed = rig.s3.list_parts(**where)["Parts"]
    assert [(p["PartNumber"], p["Size"], p["ChecksumSHA256"]) for p in listed] == [
        (1, 5 << 20, digests[0]),
        (2, 100, digests[1]),
    ]
    rig.s3.complete_multipart_upload(
        **where,
        MultipartUpload={
            "Parts": [
                {"PartNumber": n, "ETag": tag, "ChecksumSHA256": d}
                for n, (tag, d) in enumerate(zip(sent, digests, strict=True), 1)
            ]
        },
    )
    assert rig.s3.get_object(Bucket=rig.bucket, Key=key)["Body"].read() == b"".join(parts)
    assert "Uploads" not in rig.s3.list_multipart_uploads(Bucket=rig.bucket, Prefix=key)


def test_an_aws_chunked_body_with_a_trailing_checksum_arrives_whole(rig: Rig) -> None:
    """ "Signature calculations: trailing headers", Amazon S3 API Reference: the unsigned kind."""
    key, data = rig.fresh("key"), b"x" * 70_000
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    framed = b"%x\r\n%s\r\n0\r\nx-amz-checksum-sha256:%s\r\n\r\n" % (len(data), data, digest.encode())
    connection = http.client.HTTPConnection(rig.emulator.url.removeprefix("http://"))
    connection.request(
        "PUT",
        f"/{rig.bucket}/{key}",
        iter([framed[:1000], framed[1000:]]),
        {
            "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/eu-west-1/s3/aws4_request, x",
            "Content-Encoding": "aws-chunked",
            "Transfer-Encoding": "chunked",
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": str(len(data)),
            "x-amz-trailer": "x-amz-checksum-sha256",
            "x-amz-sdk-checksum-algorithm": "SHA256",
        },
        encode_chunked=True,
    )
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()
    found = rig.s3.get_object(Bucket=rig.bucket, Key=key, ChecksumMode="ENABLED")
    assert found["Body"].read() == data
    assert found["ChecksumSHA256"] == digest


def test_odd_keys_and_metadata_survive_the_front(rig: Rig) -> None:
    """API_PutObject: user-defined metadata; "Creating object key names", Amazon S3 User Guide."""
    key = f"{rig.fresh()}/a b+c=ü%41?.txt"
    rig.s3.put_object(
        Bucket=rig.bucket, Key=key, Body=b"1", Metadata={"with_underscore": "1", "with-dash": "2"}
    )
    found = rig.s3.head_object(Bucket=rig.bucket, Key=key)
    assert found["Metadata"] == {"with_underscore": "1", "with-dash": "2"}
    assert found["ContentLength"] == 1
    listed = rig.s3.list_objects_v2(Bucket=rig.bucket, Prefix=key.split("/")[0])["Contents"]
    assert [o["Key"] for o in listed] == [key]


@pytest.mark.parametrize(
    "text", ["not json", "[]", "{}", json.dumps({**TRUST, "Statement": [{"Effect": "Maybe"}]})]
)
def test_a_trust_policy_that_is_none_is_refused(rig: Rig, text: str) -> None:
    """API_CreateRole: MalformedPolicyDocument."""
    name = rig.fresh("role")
    assert refused(rig.iam.create_role, RoleName=name, AssumeRolePolicyDocument=text).code == (
        "MalformedPolicyDocument"
    )
    rig.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    found = refused(rig.iam.update_assume_role_policy, RoleName=name, PolicyDocument=text)
    assert found.code == "MalformedPolicyDocument"


def test_an_inline_policy_that_is_no_json_is_refused(rig: Rig) -> None:
    """API_PutRolePolicy: MalformedPolicyDocument."""
    name = rig.make_role().rpartition("/")[2]
    found = refused(rig.iam.put_role_policy, RoleName=name, PolicyName="p", PolicyDocument="{nope")
    assert found.code == "MalformedPolicyDocument"


def test_a_role_with_policies_can_not_be_deleted(rig: Rig) -> None:
    """API_DeleteRole: DeleteConflict while policies are attached."""
    name = rig.make_role().rpartition("/")[2]
    assert refused(rig.iam.delete_role, RoleName=name).code == "DeleteConflict"
    rig.iam.delete_role_policy(RoleName=name, PolicyName="read")
    rig.iam.delete_role(RoleName=name)
    assert refused(rig.iam.get_role, RoleName=name).code == "NoSuchEntity"


def test_the_managed_policy_for_sagemaker_exists(rig: Rig) -> None:
    """ "AWS managed policy: AmazonSageMakerFullAccess", Amazon SageMaker Developer Guide."""
    name = rig.make_role().rpartition("/")[2]
    arn = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    rig.iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    attached = rig.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [p["PolicyArn"] for p in attached] == [arn]


@pytest.mark.parametrize(("bucket", "good"), [("my-sagemaker-models", True), ("my-models", False)])
def test_the_managed_policy_reads_from_buckets_named_after_sagemaker_only(
    rig: Rig, bucket: str, good: bool
) -> None:
    """ "AWS managed policy: AmazonSageMakerFullAccess": s3:GetObject on *SageMaker* and the like."""
    name, bucket = rig.fresh("role"), rig.fresh(bucket)
    role = rig.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    rig.iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")
    rig.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    rig.s3.put_object(Bucket=bucket, Key="model.tar.gz", Body=b"x")
    wish = {
        "ModelName": rig.fresh("model"),
        "ExecutionRoleArn": role,
        "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"},
    }
    if good:
        rig.sm.create_model(**wish)
    else:
        assert refused(rig.sm.create_model, **wish).message.startswith("Could not access model data")


def test_the_caller_is_the_one_account(rig: Rig) -> None:
    """API_GetCallerIdentity, AWS Security Token Service API Reference."""
    assert rig.client("sts").get_caller_identity()["Account"] == rig.emulator.connection.account


def test_calls_are_counted_by_service_and_operation(rig: Rig) -> None:
    """The log of calls that tests of other parts count with."""
    rig.s3.list_objects_v2(Bucket=rig.bucket)
    before = rig.emulator.state()["calls"]
    rig.s3.list_objects_v2(Bucket=rig.bucket)
    rig.watch.describe_alarms()
    after = rig.emulator.state()["calls"]
    changed = {k for k in after if after[k] != before.get(k, 0)}
    assert "s3.ListObjectsV2" in changed
    assert "monitoring.DescribeAlarms" in changed
