"""Policies, projects, refusals, logs, metrics: what surrounds functions and services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions

from clouddeploy.emulator.google.filters import compile_filter
from clouddeploy.emulator.google.logs import parsed
from clouddeploy.emulator.settings import Settings
from clouddeploy.errors import SpecError
from tests.emulator.google.conftest import LOCATION, Rig, started
from tests.emulator.test_processes import until


def test_who_may_call_is_what_the_policy_says(google: Rig) -> None:
    made = google.create()
    service, email = made.service_config.service, "caller@embedded.example"
    assert google.ask(made.url, b"{}").status == 403
    assert google.ask(made.url, b"{}", token="somebody-else").status == 401
    assert google.ask(made.url, b"{}", token=f"embedded-cloud:{email}").status == 403
    google.policy(service, f"user:{email}")
    assert google.ask(made.url, b"{}", token=f"embedded-cloud:{email}").status == 200
    assert google.ask(made.url, b"{}").status == 403
    google.policy(service, "allUsers")
    assert google.ask(made.url, b"{}").status == 200


def test_an_account_reads_of_a_bucket_what_a_binding_lets_it_read(google: Rig) -> None:
    bucket = google.storage.create_bucket(google.fresh("bucket"))
    for name in ("models/a", "b"):
        bucket.blob(name).upload_from_string(b"weights")
    email = f"reader-{bucket.name[-6:]}@embedded.iam.gserviceaccount.com"

    def statuses() -> list[int]:
        paths = [f"/storage/v1/b/{bucket.name}/o{name}" for name in ("/models%2Fa", "/b", "")]
        return [google.call("GET", path, token=f"embedded-cloud:{email}").status for path in paths]

    def bind(role: str, expression: str = "") -> None:
        condition = {"condition": {"title": "t", "expression": expression}} if expression else {}
        binding = {"role": role, "members": [f"serviceAccount:{email}"], **condition}
        google.call("PUT", f"/storage/v1/b/{bucket.name}/iam", {"version": 3, "bindings": [binding]})

    assert statuses() == [403, 403, 403]
    bind("roles/storage.objectViewer")
    assert statuses() == [200, 200, 200]
    begin = f"projects/_/buckets/{bucket.name}/objects/models/"
    bind("roles/storage.objectViewer", f'resource.name.startsWith("{begin}")')
    assert statuses() == [200, 403, 403]
    bind("roles/storage.objectViewer", 'request.time < timestamp("2026-01-01T00:00:00Z")')
    assert statuses() == [403, 403, 403]
    bind("roles/storage.objectCreator")
    assert statuses() == [403, 403, 403]
    place = f"/upload/storage/v1/b/{bucket.name}/o?uploadType=media&name=c"
    assert google.call("POST", place, {}, token=f"embedded-cloud:{email}").status == 200


def test_a_policy_is_not_overwritten_with_an_old_etag(google: Rig) -> None:
    service = google.create().service_config.service
    before = google.services.get_iam_policy(request={"resource": service})
    google.policy(service, "allUsers")
    with pytest.raises(exceptions.Conflict, match="concurrent policy changes"):
        google.services.set_iam_policy(request={"resource": service, "policy": {"etag": before.etag}})
    found = google.services.get_iam_policy(request={"resource": service})
    assert found.bindings[0].members == ["allUsers"]


def test_members_and_roles_that_can_not_be_are_refused(google: Rig, settings: Callable[..., None]) -> None:
    service = google.create().service_config.service
    with pytest.raises(exceptions.BadRequest, match="does not exist"):
        google.policy(service, "serviceAccount:nobody@embedded.iam.gserviceaccount.com")
    with pytest.raises(exceptions.BadRequest, match="unknown type"):
        google.policy(service, "everybody")
    settings(domain_restricted=True)
    with pytest.raises(exceptions.BadRequest, match="permitted customer"):
        google.policy(service, "allUsers")


def test_a_disabled_api_a_foreign_project_and_a_missing_region_are_told_apart(
    google: Rig, settings: Callable[..., None]
) -> None:
    settings(disabled_apis=["cloudfunctions.googleapis.com"], projects=["embedded"])
    off = google.call("GET", f"/v2/{LOCATION}/functions").json["error"]
    assert off["status"] == "PERMISSION_DENIED"
    assert off["details"][0]["reason"] == "SERVICE_DISABLED"
    assert "has not been used in project embedded before or it is disabled" in off["message"]
    foreign = google.call("GET", "/v2/projects/other/locations/europe-west1/services").json["error"]
    assert (foreign["code"], foreign["details"][1]["reason"]) == (403, "CONSUMER_INVALID")
    nowhere = google.call("GET", "/v2/projects/embedded/locations/europe-west99/services").json["error"]
    assert nowhere["message"] == "Permission denied on 'locations/europe-west99' (or it may not exist)."
    assert google.call("GET", "/v3/projects/other").status == 403
    assert google.call("GET", "/v3/projects/embedded").json["projectId"] == "embedded"


def test_the_next_calls_of_a_method_can_be_refused(google: Rig, settings: Callable[..., None]) -> None:
    settings(
        denied={"functions.GetFunction": 1},
        limited={"run.GetService": 1},
        failing={"storage.GetBucket": 1},
    )
    name = f"{LOCATION}/functions/none"
    with pytest.raises(exceptions.Forbidden, match=r"cloudfunctions\.functions\.get"):
        google.functions.get_function(name=name)
    with pytest.raises(exceptions.NotFound):
        google.functions.get_function(name=name)
    with pytest.raises(exceptions.TooManyRequests):
        google.services.get_service(name=f"{LOCATION}/services/none")
    assert google.call("GET", "/storage/v1/b/none").status == 503
    assert google.call("GET", "/storage/v1/b/none").status == 404


def test_calls_are_counted_by_service_and_method(google: Rig) -> None:
    before = google.emulator.state()["calls"].get("run.GetService", 0)
    google.call("GET", f"/v2/{LOCATION}/services/none")
    assert google.emulator.state()["calls"]["run.GetService"] == before + 1


def test_lines_of_json_become_structured_entries_and_requests_are_logged(google: Rig) -> None:
    made = google.create()
    name = made.name.rpartition("/")[2]
    trace = {"X-Cloud-Trace-Context": "0123456789abcdef0123456789abcdef/1;o=1"}
    google.ask(made.url, b"{}", token="embedded-cloud", headers=trace)
    query = f'resource.type="cloud_run_revision" AND resource.labels.service_name="{name}"'
    body = {"resourceNames": ["projects/embedded"], "filter": query, "pageSize": 1000}
    entries: list[dict[str, Any]] = []

    def told() -> bool:
        entries[:] = google.call("POST", "/v2/entries:list", body).json["entries"]
        return any("jsonPayload" in e for e in entries)

    until(told)  # output is read beside the answer
    asked = next(e for e in entries if e.get("jsonPayload", {}).get("message") == "asked")
    assert asked["severity"] == "WARNING"
    assert asked["resource"]["labels"]["revision_name"]
    request = next(e for e in entries if "httpRequest" in e)
    assert request["httpRequest"]["status"] == 200
    assert request["trace"].endswith("0123456789abcdef0123456789abcdef")
    only = google.call(
        "POST",
        "/v2/entries:list",
        {
            "resourceNames": ["projects/embedded"],
            "filter": f"{query} AND severity>=WARNING",
            "orderBy": "timestamp desc",
        },
    ).json["entries"]
    assert {e["severity"] for e in only} == {"WARNING"}


def test_requests_are_counted_and_timed(google: Rig) -> None:
    made = google.create()
    name = made.name.rpartition("/")[2]
    for token in ("embedded-cloud", "embedded-cloud", ""):
        google.ask(made.url, b"{}", token=token)

    def series(metric: str, more: str = "") -> list[dict[str, Any]]:
        query = (
            f'?filter=metric.type="run.googleapis.com/{metric}"+AND+resource.labels.service_name="{name}"'
            "&interval.startTime=2020-01-01T00:00:00Z&interval.endTime=2100-01-01T00:00:00Z"
            f"{more}"
        )
        found: list[dict[str, Any]] = google.call(
            "GET", "/v3/projects/embedded/timeSeries" + query.replace('"', "%22")
        ).json["timeSeries"]
        return found

    counts = {
        s["metric"]["labels"]["response_code"]: sum(int(p["value"]["int64Value"]) for p in s["points"])
        for s in series("request_count")
    }
    assert counts == {"200": 2, "403": 1}
    spread = series("request_latencies")[0]["points"][0]["value"]["distributionValue"]
    assert float(spread["mean"]) >= 0
    whole = series(
        "request_count", "&aggregation.alignmentPeriod=9e9s&aggregation.perSeriesAligner=ALIGN_SUM"
    )
    assert sorted(p["value"]["int64Value"] for s in whole for p in s["points"]) == ["1", "2"]
    assert google.call("GET", "/v3/projects/embedded/timeSeries").status == 400


def test_alert_policies_come_and_go(google: Rig) -> None:
    body = {
        "displayName": "a",
        "combiner": "OR",
        "conditions": [{"displayName": "c"}],
        "userLabels": {"k": "v"},
    }
    made = google.call("POST", "/v3/projects/embedded/alertPolicies", body).json
    listed = google.call("GET", "/v3/projects/embedded/alertPolicies?filter=user_labels.k=%22v%22").json
    assert made["name"] in [a["name"] for a in listed["alertPolicies"]]
    assert google.call("DELETE", f"/v3/{made['name']}").status == 200
    assert google.call("DELETE", f"/v3/{made['name']}").status == 404


def test_service_accounts_have_rules_and_leave_marks_in_policies(google: Rig) -> None:
    path = "/v1/projects/embedded/serviceAccounts"
    assert google.call("POST", path, {"accountId": "x"}).status == 400
    name = google.fresh("sa")[:30]
    made = google.call("POST", path, {"accountId": name, "serviceAccount": {"displayName": "d"}}).json
    assert google.call("POST", path, {"accountId": name}).json["error"]["status"] == "ALREADY_EXISTS"
    service = google.create().service_config.service
    google.policy(service, f"serviceAccount:{made['email']}")
    assert google.call("DELETE", f"/v1/{made['name']}").status == 200
    assert google.call("GET", f"/v1/{made['name']}").status == 404
    found = google.services.get_iam_policy(request={"resource": service})
    assert found.bindings[0].members == [f"deleted:serviceAccount:{made['email']}"]


def test_reset_forgets_everything_of_google_too() -> None:
    with started() as google:
        made = google.create()
        google.emulator.reset()
        assert google.call("GET", f"/v2/{made.name}").status == 404
        assert google.ask(made.url, b"{}", token="embedded-cloud").status == 404
        assert google.emulator.state()["google"]["instances"] == []
        assert google.emulator.connection.env()["STORAGE_EMULATOR_HOST"] == google.url


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("severity>=WARNING", True),
        ("severity=INFO OR jsonPayload.n>3", True),
        ("NOT jsonPayload.n>3", False),
        ('labels."a.b"="c" textPayload:*', False),
        ('labels."a.b"="c" severity=ERROR', True),
        ('jsonPayload.message=~"^he.*o$"', True),
        ('(jsonPayload.n=5 AND severity!="INFO") -missing', True),
        ('timestamp>="2026-01-01T00:00:00Z" timestamp<2027-01-01T00:00:00Z', True),
        ("jsonPayload.n=(1 OR 5)", True),
        ("hello", True),
    ],
)
def test_filters_select_as_the_query_language_says(text: str, passes: bool) -> None:
    entry = {
        "severity": "ERROR",
        "timestamp": "2026-06-01T00:00:00Z",
        "jsonPayload": {"message": "hello", "n": 5},
        "labels": {"a.b": "c"},
    }
    assert compile_filter(text)(entry) is passes


def test_a_line_that_is_no_json_is_text() -> None:
    assert parsed("{not json") == {"textPayload": "{not json"}
    assert parsed('{"severity": "error", "message": "m"}') == {"severity": "ERROR", "textPayload": "m"}


def test_settings_of_google_are_checked() -> None:
    changed = Settings().changed({"google": {"operation_s": 1, "projects": ["a"]}})
    assert changed.google.projects == ("a",)
    for wrong in ({"operation_s": -1}, {"projects": "a"}, {"nothing": 1}, {"denied": {"a": "b"}}):
        with pytest.raises(SpecError):
            Settings().changed({"google": wrong})
