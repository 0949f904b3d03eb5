"""Services of Cloud Run: images, revisions, traffic, etags."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions

from tests.emulator.google.conftest import LOCATION, Rig

SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"mark": os.environ.get("MARK"), "revision": os.environ["K_REVISION"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
    def log_message(self, *_): pass
if os.environ.get("MARK") == "broken":
    raise SystemExit("can't start")
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"


def blob(google: Rig, repository: str, data: bytes, kind: str) -> dict[str, Any]:
    """Push a blob; its entry for a manifest."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    place = google.ask(f"{google.url}/v2/{repository}/blobs/uploads/", b"", method="POST").headers["Location"]
    target = place if place.startswith("http") else f"{google.url}{place}"
    mark = "&" if "?" in target else "?"
    assert google.ask(f"{target}{mark}digest={digest}", data, method="PUT").status == 201
    return {"mediaType": kind, "digest": digest, "size": len(data)}


@pytest.fixture(scope="session")
def image(google: Rig) -> str:
    """The URI of an image whose server tells its revision."""
    name = google.fresh("images")
    operation = google.call(
        "POST", f"/v1/{LOCATION}/repositories?repositoryId={name}", {"format": "DOCKER"}
    ).json
    assert google.call("GET", f"/v1/{operation['name']}").json["done"]
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        member = tarfile.TarInfo("app/server.py")
        member.size = len(SERVER)
        tar.addfile(member, io.BytesIO(SERVER.encode()))
    repository = f"embedded/{name}/server"
    oci = "application/vnd.oci.image."
    layer = blob(google, repository, gzip.compress(raw.getvalue()), f"{oci}layer.v1.tar+gzip")
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["python", "/app/server.py"], "WorkingDir": "/app", "Env": ["MARK=image"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(raw.getvalue()).hexdigest()}"]},
    }
    entry = blob(google, repository, json.dumps(config).encode(), f"{oci}config.v1+json")
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": f"{oci}manifest.v1+json", "config": entry, "layers": [layer]}
    ).encode()
    headers = {"Content-Type": f"{oci}manifest.v1+json"}
    pushed = google.ask(f"{google.url}/v2/{repository}/manifests/v1", manifest, method="PUT", headers=headers)
    assert pushed.status == 201
    digest = hashlib.sha256(manifest).hexdigest()
    return f"{google.url.removeprefix('http://')}/{repository}@sha256:{digest}"


def template(image: str, mark: str = "", **fields: Any) -> dict[str, Any]:
    """A revision's template."""
    env = [{"name": "MARK", "value": mark}] if mark else []
    return {"containers": [{"image": image, "env": env}], **fields}


def create(google: Rig, image: str, mark: str = "", **fields: Any) -> Any:
    """A service that is ready."""
    request = {
        "parent": LOCATION,
        "service_id": google.fresh("server"),
        "service": {"template": template(image, mark), **fields},
    }
    return google.services.create_service(request=request).result(timeout=60)


def update(google: Rig, name: str, mask: str, **fields: Any) -> Any:
    """A changed service."""
    request = {"service": {"name": name, **fields}, "update_mask": mask}
    return google.services.update_service(request=request).result(timeout=60)


def short(name: str) -> str:
    """The last part of a name."""
    return name.rpartition("/")[2]


def test_an_image_from_the_registry_is_served(google: Rig, image: str) -> None:
    made = create(google, image)
    assert made.terminal_condition.state.name == "CONDITION_SUCCEEDED"
    assert made.latest_ready_revision == made.latest_created_revision
    assert made.traffic_statuses[0].revision == short(made.latest_ready_revision)
    answer = google.ask(made.uri, b"{}", token="embedded-cloud").json
    assert answer == {"mark": "image", "revision": short(made.latest_ready_revision)}
    google.services.delete_service(name=made.name).result(timeout=60)
    assert google.ask(made.uri, b"{}", token="embedded-cloud").status == 404
    assert not list(google.revisions.list_revisions(parent=made.name))


def test_traffic_is_split_by_percent_and_reached_by_tag(google: Rig, image: str) -> None:
    made = create(google, image, "one")
    first = short(made.latest_ready_revision)
    pinned = [{"type_": REVISION, "revision": first, "percent": 100}]
    second = update(google, made.name, "template,traffic", template=template(image, "two"), traffic=pinned)
    newest = short(second.latest_ready_revision)
    assert newest != first
    assert google.ask(made.uri, b"{}", token="embedded-cloud").json["mark"] == "one"
    split = [
        {"type_": REVISION, "revision": first, "percent": 75},
        {"type_": REVISION, "revision": newest, "percent": 25, "tag": "canary"},
    ]
    found = update(google, made.name, "traffic", traffic=split)
    assert short(found.latest_ready_revision) == newest
    marks = Counter(google.ask(made.uri, b"{}", token="embedded-cloud").json["mark"] for _ in range(200))
    assert 20 <= marks["two"] <= 85
    tagged = next(t.uri for t in found.traffic_statuses if t.tag)
    assert "/canary---" in tagged
    assert {google.ask(tagged, b"{}", token="embedded-cloud").json["mark"] for _ in range(5)} == {"two"}
    names = [short(r.name) for r in google.revisions.list_revisions(parent=made.name)]
    assert names == [newest, first]


@pytest.mark.parametrize(
    ("traffic", "words"),
    [
        ([{"type_": LATEST, "percent": 90}], "must be 100"),
        ([{"type_": REVISION, "revision": "server-nowhere", "percent": 100}], "does not exist or is deleted"),
        ([{"type_": LATEST, "percent": 100, "tag": "Big"}], "tag"),
        ([{"type_": REVISION, "percent": 100}], "revision must be given"),
    ],
)
def test_traffic_that_can_not_be_is_refused(google: Rig, image: str, traffic: Any, words: str) -> None:
    made = create(google, image)
    with pytest.raises(exceptions.BadRequest, match=words):
        update(google, made.name, "traffic", traffic=traffic)
    assert google.services.get_service(name=made.name).etag == made.etag


def test_a_revision_that_does_not_start_leaves_the_old_one_serving(google: Rig, image: str) -> None:
    made = create(google, image, "one")
    with pytest.raises(exceptions.GoogleAPICallError, match="is not ready and cannot serve traffic"):
        update(google, made.name, "template", template=template(image, "broken"))
    assert google.ask(made.uri, b"{}", token="embedded-cloud").json["mark"] == "one"
    found = google.services.get_service(name=made.name)
    assert found.latest_ready_revision == made.latest_ready_revision
    failed = google.revisions.get_revision(name=found.latest_created_revision)
    assert failed.conditions[0].state.name == "CONDITION_FAILED"
    mended = update(google, made.name, "template", template=template(image, "two"))
    assert mended.terminal_condition.state.name == "CONDITION_SUCCEEDED"
    google.revisions.delete_revision(name=failed.name).result(timeout=60)
    with pytest.raises(exceptions.BadRequest, match="cannot be directly deleted"):
        google.revisions.delete_revision(name=mended.latest_ready_revision)


def test_an_image_that_is_nowhere_does_not_become_ready(google: Rig) -> None:
    with pytest.raises(
        exceptions.GoogleAPICallError, match=r"Image 'europe-docker\.pkg\.dev/a/b/c' not found"
    ):
        create(google, "europe-docker.pkg.dev/a/b/c")


def test_an_update_with_an_old_etag_is_refused(google: Rig, image: str) -> None:
    made = create(google, image)
    update(google, made.name, "labels", labels={"a": "b"})
    with pytest.raises(exceptions.Conflict):
        google.services.update_service(
            request={"service": {"name": made.name, "etag": made.etag, "labels": {}}, "update_mask": "labels"}
        )
    with pytest.raises(exceptions.Conflict):
        google.services.delete_service(request={"name": made.name, "etag": made.etag})


def test_labels_alone_make_no_revision_and_a_named_one_keeps_its_name(google: Rig, image: str) -> None:
    made = create(google, image)
    labelled = update(google, made.name, "labels", labels={"a": "b"})
    assert labelled.latest_created_revision == made.latest_created_revision
    assert labelled.generation == made.generation + 1
    wished = f"{short(made.name)}-green"
    named = update(google, made.name, "template", template=template(image, "x", revision=wished))
    assert short(named.latest_ready_revision) == wished
    with pytest.raises(exceptions.Conflict, match="different configuration already exists"):
        update(google, made.name, "template", template=template(image, "y", revision=wished))


def test_only_validating_changes_nothing(google: Rig, image: str) -> None:
    name = google.fresh("server")
    body = {"template": {"containers": [{"image": image}]}}
    path = f"/v2/{LOCATION}/services?serviceId={name}&validateOnly=true"
    assert google.call("POST", path, body).json["done"]
    assert google.call("GET", f"/v2/{LOCATION}/services/{name}").status == 404
    body["template"]["containers"][0]["resources"] = {"limits": {"cpu": "8", "memory": "1Gi"}}  # type: ignore[assignment]
    answer = google.call("POST", path, body)
    assert "For 8.0 CPU, memory must be between 4Gi and 32Gi" in answer.json["error"]["message"]


def test_more_services_than_the_quota_allows_are_refused(
    google: Rig, image: str, settings: Callable[..., None]
) -> None:
    settings(max_services=0)
    with pytest.raises(exceptions.TooManyRequests, match="Quota exceeded"):
        create(google, image)
    with pytest.raises(exceptions.TooManyRequests, match="Quota exceeded"):
        google.create()


def test_ingress_from_inside_hides_the_service_from_outside(google: Rig, image: str) -> None:
    made = create(google, image, ingress="INGRESS_TRAFFIC_INTERNAL_ONLY")
    google.policy(made.name, "allUsers")
    assert google.ask(made.uri, b"{}", token="embedded-cloud").status == 404
    assert google.ask(made.uri, b"{}", token="embedded-cloud:someone@embedded.example").status == 200


def test_a_secret_becomes_a_variable_once_the_account_may_read_it(google: Rig, image: str) -> None:
    secret = google.fresh("secret")
    made = google.call(
        "POST", f"/v1/projects/embedded/secrets?secretId={secret}", {"replication": {"automatic": {}}}
    ).json
    for data in ("b25l", "dHdv"):
        google.call("POST", f"/v1/{made['name']}:addVersion", {"payload": {"data": data}})
    account = google.call(
        "POST", "/v1/projects/embedded/serviceAccounts", {"accountId": google.fresh("sa")[:30]}
    ).json["email"]

    def with_secret(version: str) -> Any:
        env = [{"name": "MARK", "value_source": {"secret_key_ref": {"secret": secret, "version": version}}}]
        request = {
            "parent": LOCATION,
            "service_id": google.fresh("server"),
            "service": {
                "template": {"service_account": account, "containers": [{"image": image, "env": env}]}
            },
        }
        return google.services.create_service(request=request).result(timeout=60)

    with pytest.raises(exceptions.GoogleAPICallError, match="Permission denied on secret"):
        with_secret("latest")
    binding = {"role": "roles/secretmanager.secretAccessor", "members": [f"serviceAccount:{account}"]}
    google.call(
        "POST", f"/v1/projects/embedded/secrets/{secret}:setIamPolicy", {"policy": {"bindings": [binding]}}
    )
    assert google.ask(with_secret("latest").uri, b"{}", token="embedded-cloud").json["mark"] == "two"
    assert google.ask(with_secret("1").uri, b"{}", token="embedded-cloud").json["mark"] == "one"
    with pytest.raises(exceptions.GoogleAPICallError, match="versions/3 was not found"):
        with_secret("3")


def test_pushed_images_are_versions_that_can_be_deleted(google: Rig) -> None:
    repository = f"{LOCATION}/repositories/{google.fresh('pushed')}"
    identity = short(repository)
    google.call("POST", f"/v1/{LOCATION}/repositories?repositoryId={identity}", {"format": "DOCKER"})
    place = f"embedded/{identity}/deep/server"
    oci = "application/vnd.oci.image."
    config = blob(google, place, b'{"rootfs": {"type": "layers", "diff_ids": []}}', f"{oci}config.v1+json")
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": f"{oci}manifest.v1+json", "config": config, "layers": []}
    ).encode()
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    pushed = google.ask(f"{google.url}/v2/{place}/manifests/v1", manifest, method="PUT")
    assert pushed.status == 201
    package = google.call("GET", f"/v1/{repository}/packages").json["packages"][0]["name"]
    assert package == f"{repository}/packages/deep%2Fserver"
    version = google.call("GET", f"/v1/{package}/versions?view=FULL").json["versions"][0]
    assert version["name"] == f"{package}/versions/{digest}"
    assert [short(t["name"]) for t in version["relatedTags"]] == ["v1"]
    images = google.call("GET", f"/v1/{repository}/dockerImages").json["dockerImages"]
    assert images[0]["uri"].endswith(f"/deep/server@{digest}")
    assert google.call("DELETE", f"/v1/{version['name']}").status == 400
    operation = google.call("DELETE", f"/v1/{version['name']}?force=true").json
    assert google.call("GET", f"/v1/{operation['name']}").json["done"]
    assert google.call("GET", f"/v1/{package}/versions").status == 404
    assert google.ask(f"{google.url}/v2/{place}/manifests/v1").status == 404
    operation = google.call("DELETE", f"/v1/{repository}").json
    assert google.call("GET", f"/v1/{operation['name']}").json["done"]
    assert google.ask(f"{google.url}/v2/{place}/blobs/uploads/", b"", method="POST").status == 404
