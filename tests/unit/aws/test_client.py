"""The AWS seam: retries, translation of errors, pages. No network."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ProfileNotFound,
)

from clouddeploy.errors import (
    CloudDeployError,
    CloudError,
    CredentialsError,
    InputError,
    QuotaExceeded,
    Throttled,
)
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.transport import method_name


def refusal(code: str, message: str = "no", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Op"
    )


class Scripted:
    """A transport that answers, or raises, what it was told, in order; the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []

    def __call__(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        self.calls.append((service, operation, dict(params)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def aws(*answers: Any) -> tuple[Aws, Scripted]:
    transport = Scripted(*answers)
    return Aws(region="eu-west-1", transport=transport, retry_delay_s=0), transport


PASSING = [
    refusal("ThrottlingException"),
    refusal("TooManyRequestsException"),
    refusal("SlowDown", status=503),
    refusal("Whatever", status=429),
    refusal("InternalFailure", status=500),
    refusal("ServiceUnavailable", status=503),
    refusal("Whatever", status=504),
    ConnectionResetError(104, "reset"),
    TimeoutError("timed out"),
    EndpointConnectionError(endpoint_url="https://x"),
]


@pytest.mark.parametrize("fault", PASSING, ids=repr)
def test_a_passing_fault_is_tried_again(fault: Exception) -> None:
    seam, transport = aws(fault, fault, {"ok": 1})
    assert seam("sagemaker", "DescribeModel", ModelName="m") == {"ok": 1}
    assert len(transport.calls) == 3


@pytest.mark.parametrize("fault", PASSING, ids=repr)
def test_a_lasting_fault_ends_after_five_attempts_with_the_call_named(fault: Exception) -> None:
    seam, transport = aws(fault)
    with pytest.raises(CloudError, match=r"sagemaker\.DescribeModel"):
        seam("sagemaker", "DescribeModel", ModelName="m")
    assert len(transport.calls) == 5


@pytest.mark.parametrize(
    "code",
    ["AccessDenied", "AccessDeniedException", "ValidationException", "ExpiredToken", "InvalidClientTokenId"],
)
def test_what_can_not_pass_is_not_tried_again(code: str) -> None:
    seam, transport = aws(refusal(code))
    with pytest.raises(CloudDeployError):
        seam("s3", "PutObject", Bucket="b", Key="k")
    assert len(transport.calls) == 1


def test_throttling_that_lasts_is_told_as_such() -> None:
    seam, _ = aws(refusal("ThrottlingException", "Rate exceeded"))
    with pytest.raises(Throttled) as caught:
        seam("sagemaker", "CreateModel")
    assert caught.value.code == "ThrottlingException"
    assert caught.value.operation == "sagemaker.CreateModel"


def test_a_lacking_permission_names_action_principal_and_statement() -> None:
    message = (
        "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: sagemaker:CreateModel "
        "on resource: arn:aws:sagemaker:eu-west-1:123456789012:model/m "
        "because no identity-based policy allows it"
    )
    seam, _ = aws(refusal("AccessDeniedException", message))
    with pytest.raises(CredentialsError) as caught:
        seam("sagemaker", "CreateModel")
    text = str(caught.value)
    assert "sagemaker:CreateModel" in caught.value.what
    assert "arn:aws:iam::123456789012:user/ann" in caught.value.what
    assert '"Resource": "arn:aws:sagemaker:eu-west-1:123456789012:model/m"' in text


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("s3", "HeadObject", "s3:GetObject"),
        ("s3", "ListObjectsV2", "s3:ListBucket"),
        ("s3", "UploadPart", "s3:PutObject"),
        ("sagemaker-runtime", "InvokeEndpoint", "sagemaker:InvokeEndpoint"),
        ("sagemaker", "CreateModel", "iam:PassRole"),
    ],
)
def test_a_refusal_without_details_still_names_the_action(service: str, operation: str, action: str) -> None:
    seam, _ = aws(refusal("403", "Forbidden", 403))
    with pytest.raises(CredentialsError, match=action):
        seam(service, operation)


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (NoCredentialsError(), "AWS_ACCESS_KEY_ID"),
        (ProfileNotFound(profile="work"), "work"),
        (NoRegionError(), "AWS_DEFAULT_REGION"),
        (refusal("ExpiredToken", "The security token is expired"), "expired"),
        (refusal("RequestTimeTooSkewed", "too large", 403), "clock"),
        (refusal("InvalidClientTokenId", "invalid", 403), "doesn't accept"),
    ],
    ids=repr,
)
def test_trouble_with_credentials_says_which_and_fails_at_once(fault: Exception, word: str) -> None:
    seam, transport = aws(fault)
    with pytest.raises(CredentialsError, match=word):
        seam("sts", "GetCallerIdentity")
    assert len(transport.calls) == 1


def test_a_quota_is_named_with_its_numbers() -> None:
    message = (
        "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances, with current "
        "utilization of 0 Instances and a request delta of 1 Instances."
    )
    seam, _ = aws(refusal("ResourceLimitExceeded", message))
    with pytest.raises(QuotaExceeded, match="is 0 Instances"):
        seam("sagemaker", "CreateEndpoint")


def test_parameters_that_boto3_refuses_are_a_wrong_input() -> None:
    seam, _ = aws(ParamValidationError(report="Missing required parameter"))
    with pytest.raises(InputError, match="Missing required"):
        seam("sagemaker", "CreateModel")


def test_a_model_error_is_never_tried_again_and_keeps_its_code() -> None:
    seam, transport = aws(refusal("ModelError", "Received server error (500)", 424))
    with pytest.raises(CloudError) as caught:
        seam("sagemaker-runtime", "InvokeEndpoint")
    assert caught.value.code == "ModelError"
    assert len(transport.calls) == 1


def test_find_answers_none_for_a_missing_thing_by_code_or_by_start_of_message() -> None:
    missing = refusal("ValidationException", 'Could not find model "m".')
    seam, _ = aws(missing)
    assert seam.find("sagemaker", "DescribeModel", {"ValidationException: Could not find model"}) is None
    assert seam.find("sagemaker", "DescribeModel", {"ValidationException"}) is None
    with pytest.raises(CloudError, match="Could not find model"):
        seam.find("sagemaker", "DescribeModel", {"ValidationException: Could not find endpoint"})


def test_pages_follows_the_token_to_the_last_page() -> None:
    seam, transport = aws(
        {"Models": [{"ModelName": "a"}], "NextToken": "1"},
        {"Models": [{"ModelName": "b"}], "NextToken": "2"},
        {"Models": [{"ModelName": "c"}]},
    )
    assert [m["ModelName"] for m in seam.pages("sagemaker", "ListModels", "Models")] == ["a", "b", "c"]
    assert [p.get("NextToken") for _, _, p in transport.calls] == [None, "1", "2"]


def test_pages_of_iam_end_when_nothing_is_truncated() -> None:
    seam, transport = aws(
        {"Roles": [1], "IsTruncated": True, "Marker": "m"},
        {"Roles": [2], "IsTruncated": False, "Marker": "m"},
    )
    assert list(seam.pages("iam", "ListRoles", "Roles")) == [1, 2]
    assert transport.calls[1][2]["Marker"] == "m"


def test_a_body_that_was_partly_sent_is_sent_from_its_start_again() -> None:
    sent: list[bytes] = []

    def transport(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        sent.append(params["Body"].read())
        if len(sent) == 1:
            raise ConnectionResetError("lost")
        return {}

    body = io.BytesIO(b"--content")
    body.seek(2)
    Aws(region="eu-west-1", transport=transport, retry_delay_s=0)("s3", "PutObject", Body=body)
    assert sent == [b"content", b"content"]


def test_the_account_is_asked_for_once_or_learnt_from_an_arn() -> None:
    seam, transport = aws({"Account": "111122223333"})
    assert (seam.account, seam.account) == ("111122223333", "111122223333")
    assert len(transport.calls) == 1
    other, none = aws({})
    other.learn_account('Could not find endpoint "arn:aws:sagemaker:eu-west-1:444455556666:endpoint/x".')
    assert other.account == "444455556666"
    assert none.calls == []


@pytest.mark.parametrize(
    "text", ["", "Could not find endpoint x", "arn:aws:s3:::bucket", "arn:aws:iam::12:role/x"]
)
def test_a_text_without_an_account_teaches_nothing(text: str) -> None:
    seam, transport = aws({"Account": "111122223333"})
    seam.learn_account(text)
    assert seam.account == "111122223333"
    assert len(transport.calls) == 1


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_arns_start_with_the_regions_partition(region: str, partition: str) -> None:
    assert Aws(region=region, transport=Scripted({})).partition == partition


def test_constructing_makes_no_call_and_reads_no_credentials() -> None:
    transport = Scripted({})
    Aws(profile="no-such-profile", transport=transport)
    assert transport.calls == []


def test_boto3s_names_of_operations_are_derived_as_botocore_does() -> None:
    from botocore import xform_name

    for operation in (
        "ListObjectsV2",
        "CreateModel",
        "GetCallerIdentity",
        "DescribeEndpointConfig",
        "GetMetricData",
    ):
        assert method_name(operation) == xform_name(operation)


def test_boto3_is_called_for_real_and_fails_within_five_seconds_where_nothing_listens() -> None:
    seam = Aws(
        region="eu-west-1",
        endpoint_url="http://127.0.0.1:9",
        access_key_id="x",
        secret_access_key="x",
        retry_delay_s=0,
    )
    began = time.monotonic()
    with pytest.raises(CloudError, match="can't be reached"):
        seam("sts", "GetCallerIdentity")
    assert time.monotonic() - began < 5
