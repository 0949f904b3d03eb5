"""What we write, read by tools of others: skopeo and umoci, where they are installed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from clouddeploy.packaging.images import Layout, Registry, lambda_image
from tests.unit.images.making import FILES, docker_registry, image_on, missing, put_index, reach, tree


def run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def real(tmp_path):
    if reason := missing("docker-registry"):
        pytest.skip(reason)
    folder = tmp_path / "docker-registry"
    folder.mkdir()
    with docker_registry(folder) as host:
        client = reach(host)
        put_index(client, "lambda/python", "3.13")
        yield client


def skopeo(*arguments: str | Path) -> str:
    if reason := missing("skopeo"):
        pytest.skip(reason)
    return run("skopeo", "--insecure-policy", *arguments)


@pytest.mark.parametrize("family", ["oci", "docker"])
def test_skopeo_inspects_and_copies_what_was_pushed(real: Registry, family, tmp_path):
    from dataclasses import replace

    image = replace(lambda_image(image_on(real).base, FILES, env={"A": "1"}), family=family)
    pushed = image.push(real, "digits", "v1")
    place = f"docker://{real.host}/digits:v1"
    told = json.loads(skopeo("inspect", "--tls-verify=false", "--override-arch=arm64", place))
    assert told["Digest"] == pushed.digest
    assert (told["Architecture"], told["Os"], told["Created"]) == ("arm64", "linux", "1970-01-01T00:00:00Z")
    assert len(told["Layers"]) == 5
    assert "A=1" in told["Env"]
    source = ["--src-tls-verify=false", "--override-arch=arm64", place]
    skopeo("copy", *source, f"dir:{tmp_path / 'copy'}")  # checks each digest, and each layer's diff id


def test_skopeo_copies_our_layout_to_a_registry_and_the_digest_stays(real: Registry, tmp_path):
    image = image_on(real)
    folder = image.write(tmp_path / "image", tag="v1")
    where = f"docker://{real.host}/copied:v1"
    skopeo("copy", "--dest-tls-verify=false", "--override-arch=arm64", f"oci:{folder}:v1", where)
    assert real.manifest_digest("copied", "v1") == image.push(real, "digits", "v1").digest


def test_a_layout_that_skopeo_wrote_is_a_base_for_us(real: Registry, tmp_path):
    place = f"docker://{real.host}/lambda/python:3.13"
    skopeo("copy", "--src-tls-verify=false", "--override-arch=amd64", place, f"oci:{tmp_path / 'base'}:3.13")
    base = Layout(tmp_path / "base").base(architecture="amd64", tag="3.13")
    assert base.layers == image_on(real, architecture="amd64").base.layers


def test_umoci_unpacks_our_layout_to_the_very_files(real: Registry, tmp_path):
    if reason := missing("umoci"):
        pytest.skip(reason)
    folder = lambda_image(image_on(real).base, FILES).write(tmp_path / "image", tag="v1")
    run("umoci", "unpack", "--rootless", "--image", f"{folder}:v1", tmp_path / "bundle")
    assert tree(tmp_path / "bundle" / "rootfs" / "var" / "task") == {m.name: m.source for m in FILES}
    told = json.loads((tmp_path / "bundle" / "config.json").read_text())
    assert told["process"]["args"] == ["/lambda-entrypoint.sh", "lambda_handler.handler"]
    assert told["process"]["cwd"] == "/var/task"
