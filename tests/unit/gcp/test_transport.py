"""What goes over the wire: Google's own clients and plain JSON, against a server that remembers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clouddeploy.emulator.http.listener import Listener
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.errors import CloudError, CredentialsError, InputError
from clouddeploy.providers.gcp import json_api
from clouddeploy.providers.gcp.client import Gcp

LOCATION = "projects/p/locations/europe-west1"
OBJECT = "/storage/v1/b/b/o/a%2Fb%20c"
OPERATION = f"{LOCATION}/operations/operation-1"


class Server:
    """Answers every request with `answer`, and remembers them."""

    def __init__(self) -> None:
        self.status, self.answer = 200, {}
        self.requests: list[Request] = []
        self.listener = Listener(self._handle)
        self.listener.start()

    status: int
    answer: dict[str, Any]

    def _handle(self, request: Request) -> Response:
        self.requests.append(request)
        body = json.dumps(self.answer).encode()
        return Response(self.status, [("Content-Type", "application/json")], body)

    @property
    def last(self) -> tuple[str, str, Any]:
        """Verb, path and JSON of the last request."""
        request = self.requests[-1]
        return request.method, request.target.partition("?")[0], json.loads(request.body or b"null")


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.listener.stop()


@pytest.fixture
def gcp(server: Server) -> Gcp:
    url = f"http://127.0.0.1:{server.listener.port}"
    return Gcp(project="p", region="europe-west1", endpoint_url=url, credentials="anonymous", retry_delay_s=0)


def test_a_function_is_created_as_the_reference_spells_it(server: Server, gcp: Gcp) -> None:
    server.answer = {
        "name": OPERATION,
        "metadata": {
            "@type": "type.googleapis.com/google.cloud.functions.v2.OperationMetadata",
            "verb": "create",
            "stages": [{"name": "BUILD", "state": "IN_PROGRESS", "resourceUri": "https://build"}],
        },
    }
    function = {
        "labels": {"a": "b"},
        "buildConfig": {
            "runtime": "python313",
            "entryPoint": "predict",
            "source": {"storageSource": {"bucket": "b", "object": "o", "generation": "1795574657037679"}},
        },
        "serviceConfig": {"maxInstanceCount": 3, "ingressSettings": "ALLOW_ALL"},
    }
    begun = gcp("functions", "CreateFunction", parent=LOCATION, functionId="digits", function=function)
    verb, path, body = server.last
    assert (verb, path) == ("POST", f"/v2/{LOCATION}/functions")
    assert "functionId=digits" in server.requests[-1].target
    assert body["buildConfig"]["source"]["storageSource"]["generation"] in (
        "1795574657037679",
        1795574657037679,
    )
    assert body["serviceConfig"]["maxInstanceCount"] == 3
    assert begun["name"] == OPERATION
    assert begun["metadata"]["stages"][0]["state"] == "IN_PROGRESS"


def test_an_update_sends_its_mask(server: Server, gcp: Gcp) -> None:
    server.answer = {"name": OPERATION}
    name = f"{LOCATION}/services/digits"
    traffic = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "digits-1", "percent": 100}]
    gcp("run", "UpdateService", service={"name": name, "traffic": traffic}, updateMask="traffic")
    verb, path, body = server.last
    assert (verb, path) == ("PATCH", f"/v2/{name}")
    assert "updateMask=traffic" in server.requests[-1].target
    assert body["traffic"][0]["revision"] == "digits-1"


def test_an_operation_ends_with_its_response_or_its_error(server: Server, gcp: Gcp) -> None:
    server.answer = {
        "name": OPERATION,
        "done": True,
        "response": {"@type": "type.googleapis.com/google.cloud.run.v2.Service", "uri": "https://x"},
    }
    assert gcp("operations", "GetOperation", name=OPERATION, of="run")["response"]["uri"] == "https://x"
    assert server.last[:2] == ("GET", f"/v2/{OPERATION}")
    server.answer = {"name": OPERATION, "done": True, "error": {"code": 3, "message": "Build failed"}}
    done = gcp("operations", "GetOperation", name=OPERATION, of="functions")
    assert done["error"] == {"code": 3, "message": "Build failed"}
    server.answer = {
        "name": OPERATION, "done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Empty"}
    }  # fmt: skip
    assert gcp("operations", "GetOperation", name=OPERATION, of="functions")["done"]


@pytest.mark.parametrize(
    ("method", "params", "wire"),
    [
        ("GetService", {"name": f"{LOCATION}/services/s"}, ("GET", f"/v2/{LOCATION}/services/s")),
        (
            "ListRevisions",
            {"parent": f"{LOCATION}/services/s"},
            ("GET", f"/v2/{LOCATION}/services/s/revisions"),
        ),
        (
            "DeleteRevision",
            {"name": f"{LOCATION}/services/s/revisions/r"},
            ("DELETE", f"/v2/{LOCATION}/services/s/revisions/r"),
        ),
        (
            "GetIamPolicy",
            {"resource": f"{LOCATION}/services/s"},
            ("GET", f"/v2/{LOCATION}/services/s:getIamPolicy"),
        ),
        (
            "SetIamPolicy",
            {"resource": f"{LOCATION}/services/s", "policy": {"etag": "YWJj"}},
            ("POST", f"/v2/{LOCATION}/services/s:setIamPolicy"),
        ),
    ],
)
def test_methods_of_cloud_run_go_to_their_paths(
    server: Server, gcp: Gcp, method: str, params: dict[str, Any], wire: tuple[str, str]
) -> None:
    gcp("run", method, **params)
    assert server.last[:2] == wire


@pytest.mark.parametrize(
    ("service", "method", "params", "wire"),
    [
        ("storage", "GetObject", {"bucket": "b", "object": "a/b c"}, ("GET", OBJECT, None)),
        ("storage", "CreateBucket", {"project": "p", "body": {"name": "b"}},
         ("POST", "/storage/v1/b", {"name": "b"})),
        ("iam", "CreateServiceAccount", {"name": "projects/p", "accountId": "cd-x"},
         ("POST", "/v1/projects/p/serviceAccounts", {"accountId": "cd-x"})),
        ("logging", "ListEntries", {"resourceNames": ["projects/p"], "filter": "f"},
         ("POST", "/v2/entries:list", {"resourceNames": ["projects/p"], "filter": "f"})),
        ("monitoring", "ListTimeSeries", {"name": "projects/p", "interval.startTime": "x"},
         ("GET", "/v3/projects/p/timeSeries", None)),
        ("monitoring", "ListAlertPolicies", {"name": "projects/p", "filter": "f"},
         ("GET", "/v3/projects/p/alertPolicies", None)),
        ("monitoring", "CreateAlertPolicy", {"name": "projects/p", "body": {"displayName": "d"}},
         ("POST", "/v3/projects/p/alertPolicies", {"displayName": "d"})),
        ("monitoring", "UpdateAlertPolicy",
         {"name": "projects/p/alertPolicies/1", "updateMask": "enabled", "body": {"enabled": True}},
         ("PATCH", "/v3/projects/p/alertPolicies/1", {"enabled": True})),
        ("monitoring", "DeleteAlertPolicy", {"name": "projects/p/alertPolicies/1"},
         ("DELETE", "/v3/projects/p/alertPolicies/1", None)),
        ("secretmanager", "SetIamPolicy", {"resource": "projects/p/secrets/s", "policy": {"bindings": []}},
         ("POST", "/v1/projects/p/secrets/s:setIamPolicy", {"policy": {"bindings": []}})),
    ],
)  # fmt: skip
def test_plain_services_go_to_their_paths(
    server: Server, gcp: Gcp, service: str, method: str, params: dict[str, Any], wire: tuple[str, str, Any]
) -> None:
    gcp(service, method, **params)
    assert server.last == wire


def test_a_call_without_its_path_or_of_an_unknown_method_is_a_mistake_of_ours(gcp: Gcp) -> None:
    with pytest.raises(ValueError, match="bucket"):
        json_api.request("storage", "GetBucket", {})
    with pytest.raises(ValueError, match="PutBucket"):
        json_api.request("storage", "PutBucket", {})


def test_a_field_that_the_api_does_not_have_is_refused_before_anything_is_sent(
    server: Server, gcp: Gcp
) -> None:
    with pytest.raises(InputError, match="maxInstances"):
        gcp("functions", "CreateFunction", parent=LOCATION, function={"serviceConfig": {"maxInstances": 3}})
    assert server.requests == []


@pytest.mark.parametrize("service", ["functions", "run", "iam", "storage"])
def test_a_refusal_is_told_the_same_by_every_kind_of_client(server: Server, gcp: Gcp, service: str) -> None:
    server.status = 403
    server.answer = {
        "error": {"code": 403, "status": "PERMISSION_DENIED", "message": "Permission 'a.b.c' denied"}
    }
    methods: dict[str, tuple[str, dict[str, Any]]] = {
        "functions": ("GetFunction", {"name": f"{LOCATION}/functions/f"}),
        "run": ("GetService", {"name": f"{LOCATION}/services/f"}),
        "iam": ("GetServiceAccount", {"name": "projects/p/serviceAccounts/x"}),
        "storage": ("InsertObject", {"bucket": "b", "name": "o", "body": b"x"}),
    }
    method, params = methods[service]
    with pytest.raises(CredentialsError, match=r"a\.b\.c"):
        gcp(service, method, **params)
    assert len(server.requests) == 1


@pytest.mark.parametrize("service", ["functions", "storage"])
def test_each_attempt_is_one_request(server: Server, gcp: Gcp, service: str) -> None:
    server.status, server.answer = 503, {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    params: dict[str, Any] = {"name": f"{LOCATION}/functions/f"}
    method = "GetFunction"
    if service == "storage":
        method, params = "InsertObject", {"bucket": "b", "name": "o", "body": b"x"}
    with pytest.raises(CloudError):
        gcp(service, method, **params)
    assert len(server.requests) == 5


def test_an_error_that_is_no_json_of_googles_is_told_too(server: Server, gcp: Gcp) -> None:
    server.status, server.answer = 400, {"error": "plainly wrong"}
    with pytest.raises(CloudError, match="plainly wrong"):
        gcp("storage", "GetBucket", bucket="b")


def test_nothing_that_answers_is_told_as_unreachable(server: Server, gcp: Gcp) -> None:
    server.listener.stop()
    for service, method, name in (
        ("functions", "GetFunction", "functions/f"),
        ("iam", "GetServiceAccount", "x"),
    ):
        with pytest.raises(CloudError, match="can't be reached"):
            gcp(service, method, name=f"{LOCATION}/{name}")
