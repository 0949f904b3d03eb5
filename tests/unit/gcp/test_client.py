"""The Google Cloud seam: retries, translation of errors, pages, project and region. No network."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from google.protobuf.json_format import ParseError

from clouddeploy.errors import (
    CloudDeployError,
    CloudError,
    CredentialsError,
    InputError,
    QuotaExceeded,
    SpecError,
    Throttled,
)
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import EXISTS, MOVED, matches
from tests.unit.gcp.refusals import Scripted, refusal, seam, storage_refusal

PASSING = [
    refusal(503, "busy", status="UNAVAILABLE"),
    refusal(500, "oops", status="INTERNAL"),
    refusal(429, "slow down", status="RESOURCE_EXHAUSTED"),
    refusal(429, "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute'",
            status="RESOURCE_EXHAUSTED", reason="RATE_LIMIT_EXCEEDED"),
    storage_refusal(429, "rateLimitExceeded"),
    storage_refusal(503, "backendError"),
    exceptions.ServiceUnavailable("no response object"),  # type: ignore[no-untyped-call]
    exceptions.GatewayTimeout("late"),  # type: ignore[no-untyped-call]
    ConnectionResetError(104, "reset"),
    TimeoutError("timed out"),
    requests.exceptions.ConnectionError("refused"),
    requests.exceptions.ReadTimeout("read"),
    requests.exceptions.ChunkedEncodingError("cut"),
    TransportError("the token endpoint can't be reached"),  # type: ignore[no-untyped-call]
]  # fmt: skip


@pytest.mark.parametrize("fault", PASSING, ids=lambda f: f"{type(f).__name__}-{f}"[:60])
def test_a_passing_fault_is_tried_again(fault: Exception) -> None:
    gcp, transport = seam(fault, fault, {"ok": 1})
    assert gcp("functions", "GetFunction", name="f") == {"ok": 1}
    assert len(transport.calls) == 3


@pytest.mark.parametrize("fault", PASSING, ids=lambda f: f"{type(f).__name__}-{f}"[:60])
def test_a_lasting_fault_ends_after_five_attempts_with_the_call_named(fault: Exception) -> None:
    gcp, transport = seam(fault)
    with pytest.raises(CloudError, match=r"functions\.GetFunction"):
        gcp("functions", "GetFunction", name="f")
    assert len(transport.calls) == 5


@pytest.mark.parametrize(
    "fault",
    [
        refusal(400, status="INVALID_ARGUMENT"),
        refusal(401, status="UNAUTHENTICATED"),
        refusal(403, status="PERMISSION_DENIED"),
        refusal(404, status="NOT_FOUND"),
        refusal(409, status="ALREADY_EXISTS"),
        storage_refusal(412, "conditionNotMet"),
        refusal(
            429, "Quota exceeded for total allowable CPU per project per region.", status="RESOURCE_EXHAUSTED"
        ),
    ],
    ids=lambda f: str(f.code),
)
def test_what_can_not_pass_is_not_tried_again(fault: Exception) -> None:
    gcp, transport = seam(fault)
    with pytest.raises(CloudDeployError):
        gcp("storage", "InsertObject", bucket="b", name="o", body=b"")
    assert len(transport.calls) == 1


def test_throttling_that_lasts_is_told_as_such_and_a_quota_as_a_quota() -> None:
    gcp, _ = seam(refusal(429, "Too many requests", status="RESOURCE_EXHAUSTED"))
    with pytest.raises(Throttled):
        gcp("run", "GetService", name="s")
    text = "Quota exceeded for total allowable CPU per project per region."
    gcp, transport = seam(refusal(429, text, status="RESOURCE_EXHAUSTED"))
    with pytest.raises(QuotaExceeded, match="total allowable CPU"):
        gcp("run", "CreateService", parent="p")
    assert len(transport.calls) == 1


def test_a_disabled_api_is_named_with_the_command_that_enables_it() -> None:
    fault = refusal(
        403,
        "Cloud Functions API has not been used in project 123 before or it is disabled.",
        status="PERMISSION_DENIED",
        reason="SERVICE_DISABLED",
        metadata={"service": "cloudfunctions.googleapis.com", "consumer": "projects/123"},
    )
    gcp, transport = seam(fault)
    with pytest.raises(CredentialsError) as caught:
        gcp("functions", "GetFunction", name="f")
    assert "gcloud services enable cloudfunctions.googleapis.com --project=123" in caught.value.fix
    assert len(transport.calls) == 1


def test_a_disabled_api_without_details_is_known_by_its_text() -> None:
    fault = storage_refusal(403, "accessNotConfigured", "Access Not Configured.")
    gcp, _ = seam(fault)
    with pytest.raises(CredentialsError, match=r"storage\.googleapis\.com is disabled"):
        gcp("storage", "ListBuckets")


def test_user_credentials_without_a_quota_project_are_told_apart_from_a_disabled_api() -> None:
    text = "The cloudfunctions.googleapis.com API requires a quota project, which is not set by default."
    metadata = {"service": "cloudfunctions.googleapis.com", "consumer": "projects/764086051850"}
    fault = refusal(403, text, status="PERMISSION_DENIED", reason="SERVICE_DISABLED", metadata=metadata)
    gcp, _ = seam(fault)
    with pytest.raises(CredentialsError) as caught:
        gcp("functions", "GetFunction", name="f")
    assert "set-quota-project" in caught.value.fix


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (
            refusal(
                403,
                "Permission denied on resource project no-such-project.",
                status="PERMISSION_DENIED",
                reason="CONSUMER_INVALID",
                metadata={"consumer": "projects/no-such-project"},
            ),
            "no-such-project",
        ),
        (
            refusal(404, "Project 'projects/no-such-project' not found or deleted.", status="NOT_FOUND"),
            "no-such-project",
        ),
        (storage_refusal(400, "invalid", "Unknown project id: no-such-project"), "no-such-project"),
        (
            refusal(
                403,
                "Caller does not have required permission to use project other-project. Grant it.",
                status="PERMISSION_DENIED",
                reason="USER_PROJECT_DENIED",
                metadata={"consumer": "projects/other-project"},
            ),
            "other-project",
        ),
    ],
)
def test_a_wrong_project_is_named(fault: Exception, named: str) -> None:
    gcp, _ = seam(fault)
    with pytest.raises(CredentialsError, match=f"the project '{named}'") as caught:
        gcp("functions", "GetFunction", name="f")
    assert "project=" in caught.value.fix


@pytest.mark.parametrize(
    ("fault", "permission"),
    [
        (
            refusal(
                403,
                "Permission 'cloudfunctions.functions.create' denied on resource '//x' "
                "(or resource may not exist).",
                status="PERMISSION_DENIED",
            ),
            "cloudfunctions.functions.create",
        ),
        (
            storage_refusal(
                403,
                "forbidden",
                "ann@x.org does not have storage.objects.list access to the Google Cloud Storage bucket.",
            ),
            "storage.objects.list",
        ),
        (
            refusal(
                403,
                "no",
                status="PERMISSION_DENIED",
                reason="IAM_PERMISSION_DENIED",
                metadata={"permission": "run.services.update"},
            ),
            "run.services.update",
        ),
        (
            refusal(
                403,
                "Permission 'iam.serviceaccounts.actAs' denied on service account a@b.c",
                status="PERMISSION_DENIED",
            ),
            "iam.serviceaccounts.actAs",
        ),
    ],
)
def test_a_lacking_permission_is_named_with_a_role_that_holds_it(fault: Exception, permission: str) -> None:
    gcp, _ = seam(fault)
    with pytest.raises(CredentialsError, match=permission) as caught:
        gcp("run", "UpdateService", service={})
    assert "roles/" in caught.value.fix


def test_a_refusal_without_details_still_names_the_call_and_a_role() -> None:
    gcp, _ = seam(exceptions.Forbidden("no"))  # type: ignore[no-untyped-call]
    with pytest.raises(CredentialsError, match=r"secretmanager\.GetSecret") as caught:
        gcp("secretmanager", "GetSecret", name="s")
    assert "roles/secretmanager.admin" in caught.value.fix


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (DefaultCredentialsError("Your default credentials were not found."), "application-default login"),  # type: ignore[no-untyped-call]
        (RefreshError("invalid_grant: Token has been expired or revoked."), "application-default login"),  # type: ignore[no-untyped-call]
        (
            refusal(401, "Request had invalid authentication credentials.", status="UNAUTHENTICATED"),
            "doesn't accept",
        ),
        (refusal(403, "Billing is off", status="PERMISSION_DENIED", reason="BILLING_DISABLED"), "billing"),
    ],
)
def test_trouble_with_credentials_says_what_to_do_and_fails_at_once(fault: Exception, word: str) -> None:
    gcp, transport = seam(fault)
    with pytest.raises(CredentialsError) as caught:
        gcp("functions", "GetFunction", name="f")
    assert word in str(caught.value)
    assert len(transport.calls) == 1


@pytest.mark.parametrize(
    "fault",
    [
        refusal(
            403,
            "Permission denied on 'locations/mars-north1' (or it may not exist).",
            status="PERMISSION_DENIED",
        ),
        refusal(404, "Location mars-north1 is not found or access is unauthorized.", status="NOT_FOUND"),
        storage_refusal(400, "invalid", "The specified location constraint is not valid."),
    ],
)
def test_a_region_without_the_product_is_a_mistake_in_the_request(fault: Exception) -> None:
    gcp, _ = seam(fault)
    with pytest.raises(SpecError, match="region") as caught:
        gcp("functions", "CreateFunction", parent="p")
    assert "region=" in caught.value.fix


def test_a_permission_on_a_thing_in_a_region_is_no_trouble_with_the_region() -> None:
    message = (
        "Permission 'run.services.get' denied on resource "
        "'projects/p/locations/europe-west1/services/digits' (or it may not exist)."
    )
    gcp, _ = seam(refusal(403, message, status="PERMISSION_DENIED"))
    with pytest.raises(CredentialsError, match=r"run\.services\.get"):
        gcp("run", "GetService", name="s")


def test_parameters_that_do_not_fit_are_a_wrong_input() -> None:
    gcp, _ = seam(ParseError("no field named 'nmae'"))
    with pytest.raises(InputError, match="nmae"):
        gcp("functions", "CreateFunction")


def test_find_answers_none_for_what_is_missing_only() -> None:
    gcp, _ = seam(refusal(404, "Resource 'f' was not found", status="NOT_FOUND"))
    assert gcp.find("functions", "GetFunction", name="f") is None
    gcp, _ = seam(storage_refusal(404, "notFound"))
    assert gcp.find("storage", "GetObject", {"404"}, bucket="b", object="o") is None
    with pytest.raises(CloudError):
        gcp.find("storage", "GetObject", {"409"}, bucket="b", object="o")


def test_errors_are_known_by_status_http_status_and_reason_before_and_after_translation() -> None:
    gcp, _ = seam(storage_refusal(412, "conditionNotMet"))
    with pytest.raises(CloudError) as caught:
        gcp("storage", "InsertObject")
    assert matches(caught.value, MOVED)
    assert matches(caught.value, {"412"})
    assert not matches(caught.value, EXISTS)
    assert matches(exceptions.AlreadyExists("x"), {"ALREADY_EXISTS"})  # type: ignore[no-untyped-call]


def test_pages_follows_the_token_to_the_last_page() -> None:
    gcp, transport = seam(
        {"functions": [{"name": "a"}], "nextPageToken": "1"},
        {"nextPageToken": "2"},
        {"functions": [{"name": "b"}]},
    )
    assert [f["name"] for f in gcp.pages("functions", "ListFunctions", "functions", parent="p")] == ["a", "b"]
    assert [p.get("pageToken") for _, _, p in transport.calls] == [None, "1", "2"]


def test_a_body_that_was_partly_sent_is_sent_from_its_start_again() -> None:
    sent: list[bytes] = []

    def transport(service: str, method: str, params: Mapping[str, Any]) -> Any:
        sent.append(params["body"].read())
        if len(sent) == 1:
            raise ConnectionResetError("lost")
        return {}

    body = io.BytesIO(b"--content")
    body.seek(2)
    Gcp(transport=transport, retry_delay_s=0)("storage", "InsertObject", body=body)
    assert sent == [b"content", b"content"]


def test_constructing_makes_no_call_and_reads_no_credentials() -> None:
    transport = Scripted({})
    Gcp(credentials="/no/such/key.json", transport=transport)
    assert transport.calls == []


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="zone"):
        Gcp(zone="a")  # type: ignore[call-arg]


def test_project_and_region_come_from_the_options_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "GOOGLE_CLOUD_REGION"):
        monkeypatch.delenv(variable, raising=False)
    nobody = Gcp(credentials="anonymous")
    with pytest.raises(CredentialsError, match="project"):
        _ = nobody.project
    with pytest.raises(SpecError, match="region"):
        _ = nobody.region
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "from-environment")
    monkeypatch.setenv("GOOGLE_CLOUD_REGION", "europe-west4")
    assert (nobody.project, nobody.region) == ("from-environment", "europe-west4")
    given = Gcp(project="given", region="us-east1", credentials="anonymous")
    assert given.location == "projects/given/locations/us-east1"


@pytest.mark.parametrize("content", [None, "garbage"])
def test_a_key_file_that_can_not_be_used_is_told_with_where_credentials_are_looked_for(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    gcp = Gcp(project="p", region="europe-west1", credentials=str(path), retry_delay_s=0)
    with pytest.raises(CredentialsError, match=r"key\.json") as caught:
        gcp("functions", "GetFunction", name="projects/p/locations/l/functions/f")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.fix


def test_the_embedded_cloud_takes_a_fixed_identity_token() -> None:
    gcp, _ = seam({})
    assert gcp.identity_token("http://127.0.0.1:1/_run/p/r/s") == "embedded-cloud"
    assert gcp.access_token() == "embedded-cloud"


def test_credentials_that_can_not_make_an_identity_token_are_told() -> None:
    class OnlyAccess:
        token = "access"

        def refresh(self, request: object) -> None:
            """Nothing to do."""

    gcp = Gcp(project="p", region="r", credentials=OnlyAccess())
    with pytest.raises(CredentialsError, match="OnlyAccess") as caught:
        gcp.identity_token("https://digits.a.run.app")
    assert "service account" in caught.value.fix
