"""The registry of the embedded cloud, as clients see it over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import urllib3

from clouddeploy.emulator import Emulator
from clouddeploy.emulator.registry import Store, stand_ins, unpack
from clouddeploy.packaging import Member
from clouddeploy.packaging.images import Base, ImageArtifact, Registry
from clouddeploy.packaging.images.blob import Blob
from clouddeploy.packaging.images.media import MANIFESTS
from tests.emulator.registry.conftest import FAST, Images, tar

CONTENT = b"some bytes " * 1000
DIGEST = f"sha256:{sha256(CONTENT).hexdigest()}"
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"AWS:embedded-cloud").decode()}
Ask = Callable[..., urllib3.BaseHTTPResponse]


@pytest.fixture(scope="session")
def ask(emulator: Emulator) -> Ask:
    """Sends a request with ECR's login; headers and body as given."""
    pool = urllib3.PoolManager(retries=False)

    def send(method: str, path: str, body: bytes = b"", **headers: str) -> urllib3.BaseHTTPResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return pool.request(method, emulator.url + path, body=body, headers={**LOGIN, **named})

    return send


@pytest.fixture
def repository(images: Images) -> str:
    """A new repository, as the registry calls it."""
    return images.repository()[1]


def code(answer: urllib3.BaseHTTPResponse) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status, answer.json()["errors"][0]["code"]


def begun(ask: Ask, repository: str) -> str:
    """Where a new upload goes on."""
    answer = ask("POST", f"/v2/{repository}/blobs/uploads/")
    assert answer.status == 202
    return str(answer.headers["Location"])


def test_the_ping_tells_the_version_and_gateway_apis_still_answer(ask: Ask, images: Images) -> None:
    answer = ask("GET", "/v2/")
    assert (answer.status, answer.headers["Docker-Distribution-Api-Version"]) == (200, "registry/2.0")
    assert images.rig.client("apigatewayv2").get_apis()["Items"] is not None


def test_a_blob_comes_in_one_request(ask: Ask, repository: str) -> None:
    answer = ask("POST", f"/v2/{repository}/blobs/uploads/?digest={DIGEST}", CONTENT)
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, DIGEST)
    assert ask("GET", answer.headers["Location"]).data == CONTENT


def test_a_blob_comes_whole_after_its_upload_was_begun(ask: Ask, repository: str) -> None:
    where = begun(ask, repository)
    assert ask("PUT", f"{where}?digest={DIGEST}", CONTENT).status == 201
    assert ask("HEAD", f"/v2/{repository}/blobs/{DIGEST}").headers["Content-Length"] == str(len(CONTENT))


def test_a_blob_comes_in_parts_that_must_follow_each_other(ask: Ask, repository: str) -> None:
    where = begun(ask, repository)
    answer = ask("PATCH", where, CONTENT[:100], Content_Range="0-99")
    assert (answer.status, answer.headers["Range"]) == (202, "0-99")
    wrong = ask("PATCH", where, CONTENT[200:], Content_Range=f"200-{len(CONTENT) - 1}")
    assert (wrong.status, wrong.headers["Range"]) == (416, "0-99")
    told = ask("GET", where)
    assert (told.status, told.headers["Range"]) == (204, "0-99")
    assert ask("PATCH", where, CONTENT[100:], Content_Range=f"100-{len(CONTENT) - 1}").status == 202
    assert ask("PUT", f"{where}?digest={DIGEST}").status == 201
    assert ask("GET", where).status == 404


def test_bytes_that_arent_those_of_their_digest_are_refused(ask: Ask, repository: str) -> None:
    where = begun(ask, repository)
    assert code(ask("PUT", f"{where}?digest={DIGEST}", b"other")) == (400, "DIGEST_INVALID")
    assert ask("HEAD", f"/v2/{repository}/blobs/{DIGEST}").status == 404
    assert code(ask("PUT", f"{where}?digest=md5:1", b"")) == (400, "DIGEST_INVALID")
    assert code(ask("POST", f"/v2/{repository}/blobs/uploads/?digest={DIGEST}", b"x"))[0] == 400


def test_an_upload_that_was_given_up_is_gone(ask: Ask, repository: str) -> None:
    where = begun(ask, repository)
    assert ask("DELETE", where).status == 204
    assert code(ask("PATCH", where, b"x")) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_blob_is_mounted_from_another_repository(ask: Ask, images: Images, repository: str) -> None:
    _, other = images.repository()
    ask("POST", f"/v2/{repository}/blobs/uploads/?digest={DIGEST}", CONTENT)
    answer = ask("POST", f"/v2/{other}/blobs/uploads/?mount={DIGEST}&from={repository}")
    assert (answer.status, ask("GET", f"/v2/{other}/blobs/{DIGEST}").data) == (201, CONTENT)
    absent = f"sha256:{'0' * 64}"
    assert ask("POST", f"/v2/{other}/blobs/uploads/?mount={absent}&from={repository}").status == 202


def test_a_blob_can_be_read_from_a_byte_on(ask: Ask, repository: str) -> None:
    ask("POST", f"/v2/{repository}/blobs/uploads/?digest={DIGEST}", CONTENT)
    answer = ask("GET", f"/v2/{repository}/blobs/{DIGEST}", Range="bytes=100-")
    assert (answer.status, answer.data) == (206, CONTENT[100:])
    assert ask("GET", f"/v2/{repository}/blobs/{DIGEST}", Range="bytes=5-9").data == CONTENT[5:10]
    assert ask("GET", f"/v2/{repository}/blobs/{DIGEST}", Range="bytes=999999-").status == 416


def test_a_manifest_is_taken_only_when_all_that_it_names_is_there(
    ask: Ask, images: Images, repository: str
) -> None:
    reference = images.push()
    source = reference.partition("/")[2].partition("@")[0]
    raw, kind = images.registry.manifest(source, reference.partition("@")[2])
    answer = ask("PUT", f"/v2/{repository}/manifests/v1", raw, Content_Type=kind)
    assert code(answer) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert code(ask("PUT", f"/v2/{repository}/manifests/v1", b"{}")) == (400, "MANIFEST_INVALID")
    assert code(ask("PUT", f"/v2/{source}/manifests/{DIGEST}", raw)) == (400, "DIGEST_INVALID")
    changed = json.dumps({**json.loads(raw), "config": {**json.loads(raw)["config"], "size": 1}}).encode()
    assert code(ask("PUT", f"/v2/{source}/manifests/v2", changed)) == (400, "MANIFEST_INVALID")


def test_tags_are_listed_by_pages_and_deleted(ask: Ask, images: Images, repository: str) -> None:
    image = images.image()
    for tag in ("b", "a", "c"):
        digest = image.push(images.registry, repository, tag).digest
    assert ask("GET", f"/v2/{repository}/tags/list").json() == {"name": repository, "tags": ["a", "b", "c"]}
    page = ask("GET", f"/v2/{repository}/tags/list?n=2")
    assert page.json()["tags"] == ["a", "b"]
    assert "last=b" in page.headers["Link"]
    assert ask("GET", f"/v2/{repository}/tags/list?n=2&last=b").json()["tags"] == ["c"]
    assert ask("DELETE", f"/v2/{repository}/manifests/a").status == 202
    assert ask("HEAD", f"/v2/{repository}/manifests/{digest}").headers["Docker-Content-Digest"] == digest
    assert ask("DELETE", f"/v2/{repository}/manifests/{digest}").status == 202
    assert ask("GET", f"/v2/{repository}/tags/list").json()["tags"] == []
    assert code(ask("GET", f"/v2/{repository}/manifests/b")) == (404, "MANIFEST_UNKNOWN")


def test_ecr_wants_its_token_and_has_only_repositories_that_were_made(
    emulator: Emulator, ask: Ask, repository: str
) -> None:
    answer = urllib3.request("GET", f"{emulator.url}/v2/{repository}/tags/list")
    assert code(answer) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    absent = ask("POST", "/v2/eu-west-1/no-such-repository/blobs/uploads/")
    assert code(absent) == (404, "NAME_UNKNOWN")
    assert "does not exist in the registry with id" in absent.json()["errors"][0]["message"]
    assert code(ask("GET", "/v2/Upper/tags/list")) == (400, "NAME_INVALID")
    assert code(ask("PATCH", f"/v2/{repository}/manifests/a")) == (405, "UNSUPPORTED")


@pytest.mark.parametrize("name", ["lambda/python:3.11", "lambda/python:3.13", "python:3.13-slim"])
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_stand_in_bases_are_there_for_both_architectures_and_nobodys_to_change(
    images: Images, ask: Ask, name: str, architecture: str
) -> None:
    base = Base.resolve(f"{images.host}/{name}", architecture=architecture)
    assert base.architecture == architecture
    assert "stand-in" in base.config.decode()
    path = name.partition(":")[0]
    assert code(ask("POST", f"/v2/{path}/blobs/uploads/")) == (401, "UNAUTHORIZED")


def test_an_image_is_pushed_once_and_its_unchanged_layers_not_again(images: Images, repository: str) -> None:
    first = images.image().push(images.registry, repository, "v1")
    again = images.image().push(images.registry, repository, "v1")
    assert (first.changed, again.changed, again.sent_bytes) == (True, False, 0)
    other = images.image({"app.py": "x = 1\n"}).push(images.registry, repository, "v2")
    assert 0 < other.sent_bytes < first.sent_bytes + 2000


def test_many_clients_push_the_same_image_at_once(images: Images, repository: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def push(number: int) -> str:
        return images.image().push(images.registry, repository, f"v{number}").digest

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(push, range(8)))) == 1


def make_store(folder: Path) -> Store:
    """A store without HTTP, with the stand-ins."""
    store = Store(folder)
    store.spaces.append(stand_ins.space())
    stand_ins.fill(store)
    return store


def stored(store: Store, layer: bytes) -> Any:
    """An image of one layer, put into `store` directly."""
    document = json.dumps({"architecture": "arm64", "os": "linux", "config": {}}).encode()
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    entries = [
        {"mediaType": kind, "digest": store.add_bytes("x", content), "size": len(content)}
        for kind, content in zip(kinds, (document, layer), strict=True)
    ]
    manifest = {"schemaVersion": 2, "config": entries[0], "layers": [entries[1]]}
    made = store.put("x", "v1", json.dumps(manifest).encode(), MANIFESTS["oci"])
    return store.image("x", made.digest)


def test_files_of_a_removed_image_leave_the_disk_when_nothing_else_needs_them(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    before = sorted(p.name for p in (tmp_path / "blobs").iterdir())
    image = stored(store, tar([("a", b"1")]))
    assert len(list((tmp_path / "blobs").iterdir())) > len(before)
    assert store.remove("x", image.digest)
    assert sorted(p.name for p in (tmp_path / "blobs").iterdir()) == before


@pytest.mark.parametrize(
    "entries",
    [
        [("../outside", b"1")],
        [("link", "../.."), ("link/outside", b"1")],
        [("link", "/"), ("link/outside", b"1")],
        [("a/up", ".."), ("a/up/over", "."), ("up/link", "../../.."), ("up/link/outside", b"1")],
        [("here", "."), ("here/deep", None), ("here/deep/out", "../.."), ("deep/out/outside", b"1")],
    ],
)
def test_no_layer_writes_outside_its_folder(tmp_path: Path, entries: list[tuple[str, Any]]) -> None:
    folder = tmp_path / "in" / "here"
    unpack(stored(make_store(tmp_path / "store"), tar(entries)), folder)
    strays = [p for p in tmp_path.rglob("outside") if folder not in p.parents]
    assert strays == []


def test_a_store_serves_images_to_python_without_http(tmp_path: Path) -> None:
    image = stored(make_store(tmp_path / "store"), tar([("var/task/app.py", b"x = 1"), ("link", "/var")]))
    assert image.architecture == "arm64"
    root = unpack(image, tmp_path / "root")
    assert (root / "var/task/app.py").read_bytes() == b"x = 1"
    assert (root / "link/task/app.py").read_bytes() == b"x = 1"


def test_a_large_blob_goes_in_parts_and_comes_back(images: Images, repository: str) -> None:
    small = Registry(
        images.host, credentials=lambda _: ("AWS", "embedded-cloud"), retries=FAST, chunk_bytes=1000
    )
    blob = Blob.of_bytes(CONTENT)
    assert small.put_blob(repository, blob)
    assert not small.put_blob(repository, blob)


def test_an_oci_layout_of_an_image_on_a_stand_in_can_be_written(images: Images, tmp_path: Path) -> None:
    base = Base.resolve(f"{images.host}/python:3.13-slim", architecture="arm64")
    image = ImageArtifact.of(
        base, [Member.of_bytes("main.py", b"x = 1")], root="/app", cmd=["python", "main.py"]
    )
    assert (image.write(tmp_path / "layout") / "index.json").is_file()
