"""Pushing, on each registry that is here: ours in memory, and Debian's docker-registry."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace
from hashlib import sha256

import pytest

from clouddeploy.errors import CloudError, CredentialsError, NotFound, SpecError
from clouddeploy.packaging import Member
from clouddeploy.packaging.images import Base, ImageArtifact, Registry, lambda_image
from clouddeploy.packaging.images.blob import Blob
from clouddeploy.packaging.images.media import Descriptor
from tests.unit.images.making import (
    FILES,
    cutting,
    docker_registry,
    image_on,
    missing,
    put_image,
    put_index,
    reach,
)

NOISE = random.Random(7).randbytes(1_000_003)


def test_a_pushed_image_is_read_back_byte_for_byte(registry, tmp_path):
    image = image_on(registry)
    pushed = image.push(registry, "team/digits", "v1")
    assert pushed.reference == f"{registry.host}/team/digits@{pushed.digest}"
    raw, _ = registry.manifest("team/digits", "v1")
    assert f"sha256:{sha256(raw).hexdigest()}" == pushed.digest
    index = json.loads((image.write(tmp_path / "image") / "index.json").read_text())
    assert index["manifests"][0]["digest"] == pushed.digest
    back = Base.resolve(pushed.reference, architecture="arm64", registry=registry)
    assert len(back.layers) == 3
    assert json.loads(back.config)["config"]["Labels"]["clouddeploy.digest"] == image.digest


def test_pushing_again_sends_nothing_and_says_so(registry):
    first = image_on(registry).push(registry, "digits", "v1")
    assert image_on(registry).find(registry, "digits", "v1") == replace(first, sent_bytes=0, changed=False)
    built = []
    again = image_on(registry).push(registry, "digits", "v1", building=lambda *now: built.append(now))
    assert not built, "it isn't even packed"
    assert (again.digest, again.sent_bytes, again.changed) == (first.digest, 0, False)
    other_tag = image_on(registry).push(registry, "digits", "v2")
    assert (other_tag.digest, other_tag.sent_bytes, other_tag.changed) == (first.digest, 0, True)


def test_a_tag_that_names_something_else_is_moved(registry):
    image = image_on(registry)
    assert image.find(registry, "digits", "v1") is None
    assert image.find(registry, "lambda/python", "3.13") is None, "an index"
    assert image.find(registry, "lambda/python", "3.13-arm64") is None, "not ours"
    image.push(registry, "digits", "v1")
    other = image_on(registry, env={"A": "1"})
    assert other.find(registry, "digits", "v1") is None
    moved = other.push(registry, "digits", "v1")
    assert registry.manifest_digest("digits", "v1") == moved.digest
    assert registry.manifest_digest("digits", image.push(registry, "digits", "v2").digest)


def test_a_new_handler_sends_neither_base_nor_model_nor_requirements(registry):
    base = image_on(registry).base
    lambda_image(base, FILES).push(registry, "digits", "v1")
    newer = [
        m if m.name != "app/handler.py" else Member.of_bytes(m.name, b"def predict(x): ...\n") for m in FILES
    ]
    assert 0 < lambda_image(base, newer).push(registry, "digits", "v2").sent_bytes < 3000


def test_the_bases_layers_are_mounted_not_sent(registry):
    sizes = sum(layer.size for layer in image_on(registry).base.layers)
    pushed = image_on(registry).push(registry, "digits", "v1")
    ours = json.loads(registry.manifest("digits", "v1")[0])
    assert pushed.sent_bytes == ours["layers"][-1]["size"] + ours["config"]["size"]
    assert sum(layer["size"] for layer in ours["layers"][:2]) == sizes


def test_a_base_on_another_registry_is_carried_over(registry, tmp_path):
    image = image_on(registry)
    if reason := missing("docker-registry"):
        pytest.skip(reason)
    folder = tmp_path / "other"
    folder.mkdir()
    with docker_registry(folder) as host:
        other = reach(host)
        pushed = image.push(other, "digits", "v1")
        assert pushed.sent_bytes > sum(layer.size for layer in image.base.layers)
        assert (
            Base.resolve(pushed.reference, architecture="arm64", registry=other).layers[:2]
            == image.base.layers
        )


def test_a_large_blob_goes_in_parts_and_reads_back(registry):
    client = reach(registry.host, chunk_bytes=300_000)
    told = []
    blob = Blob.of_bytes(NOISE)
    assert client.put_blob("digits", blob, told=told.append)
    assert told == sorted(told)
    assert told[-1] == len(NOISE)
    assert not client.put_blob("digits", blob)
    image = ImageArtifact.of(
        image_on(client).base, [Member.of_bytes("w.bin", NOISE)], root="/opt/ml", cmd=["serve"]
    )
    image.push(client, "digits", "v1")
    assert client.has_blob("digits", json.loads(client.manifest("digits", "v1")[0])["layers"][-1]["digest"])


@pytest.mark.parametrize("chunk_bytes", [300_000, None])
def test_a_connection_that_breaks_in_the_middle_of_a_blob_is_made_good(registry, chunk_bytes):
    blob = Blob.of_bytes(NOISE)
    with cutting(registry.host, after=200_000, times=2) as host:
        assert reach(host, chunk_bytes=chunk_bytes).put_blob("digits", blob)
    file = io.BytesIO()
    registry.fetch("digits", Descriptor("any", blob.digest, blob.size), file)
    assert file.getvalue() == NOISE


def test_bytes_that_are_not_those_of_the_digest_are_refused_by_the_registry(registry):
    lie = Blob("sha256:" + "1" * 64, 5, b"12345")
    with pytest.raises(CloudError, match="DIGEST_INVALID"):
        registry.put_blob("digits", lie)
    assert not registry.has_blob("digits", lie.digest)


def test_a_manifest_whose_parts_are_missing_is_refused_by_the_registry(registry):
    raw, media_type = registry.manifest("lambda/python", "3.13-arm64")
    with pytest.raises(CloudError, match=r"answered 40[04]"):
        registry.put_manifest("empty", "v1", raw, media_type)


def test_what_is_not_there_is_told(registry):
    with pytest.raises(NotFound, match=r"lambda/python holds no image '3\.99'"):
        image_on(registry, tag="3.99")
    with pytest.raises(NotFound, match="holds no image"):
        Base.resolve(f"{registry.host}/lambda/pyhton:3.13", architecture="arm64", registry=registry)
    with pytest.raises(NotFound):
        Base.resolve(
            f"{registry.host}/lambda/python@sha256:{'0' * 64}", architecture="arm64", registry=registry
        )
    assert registry.manifest_digest("lambda/python", "3.99") is None


def test_a_base_for_another_architecture_is_refused_and_what_there_is_told(registry):
    put_image(registry, "lambda/python", "one", family="docker", architecture="amd64")
    with pytest.raises(SpecError, match=r"isn't for linux/arm64\n  why: it is for linux/amd64"):
        image_on(registry, tag="one")
    with pytest.raises(SpecError, match="architecture is 's390x'"):
        image_on(registry, architecture="s390x")


@pytest.mark.parametrize(
    ("repository", "tag"),
    [("Digits", "v1"), ("a//b", "v1"), ("/a", "v1"), ("a/../b", "v1"), ("a", "v 1"), ("a", ".v")],
)
def test_names_that_no_registry_takes_are_refused_before_a_request(fake, repository, tag):
    image = image_on(reach(fake.host))
    before = len(fake.seen)
    with pytest.raises(SpecError, match="is no name of an image"):
        image.push(reach(fake.host), repository, tag)
    assert len(fake.seen) == before


def test_a_registry_that_wants_a_login_gets_it(tmp_path):
    if reason := missing("docker-registry"):
        pytest.skip(reason)
    with docker_registry(tmp_path, login=True) as host:
        known = reach(host, credentials=lambda asked: ("user", "secret") if asked == host else None)
        put_index(known, "lambda/python", "3.13")
        assert image_on(known).push(known, "digits", "v1").changed
        for credentials in (None, lambda host: ("user", "wrong")):
            with pytest.raises(CredentialsError, match=f"the registry {host} refuses access"):
                image_on(reach(host, credentials=credentials))


def test_progress_reaches_the_whole_though_most_is_there_already(registry):
    image_on(registry).push(registry, "digits", "v1")
    told: list[tuple[int, int]] = []
    built: list[tuple[int, int]] = []
    image_on(registry, env={"A": "1"}).push(
        registry,
        "digits",
        "v2",
        report=lambda done, total: told.append((done, total)),
        building=lambda done, total: built.append((done, total)),
    )
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert built[-1] == (sum(m.size for m in FILES),) * 2


@pytest.mark.parametrize("host", ["https://here", "here/there", "", "a b", "user@here"])
def test_a_host_that_is_none_is_refused(host):
    with pytest.raises(SpecError, match="is no registry's host"):
        Registry(host)
