from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from clouddeploy.errors import CloudError, ModelChanged, ModelError, NotFound, SpecError
from clouddeploy.packaging import Member
from clouddeploy.packaging.images import Base, ImageArtifact, Layer, Layout, lambda_base, lambda_image
from clouddeploy.packaging.images.aws_lambda import CODE, IMAGE_BYTES
from clouddeploy.packaging.images.media import MANIFESTS
from tests.unit.images.making import FILES, image_on, put_image, put_index, reach, tree


def read_layout(folder: Path):
    """Manifest, configuration and our layer's tar of a layout."""
    index = json.loads((folder / "index.json").read_text())

    def blob(digest: str) -> bytes:
        return (folder / "blobs" / "sha256" / digest.partition(":")[2]).read_bytes()

    manifest = json.loads(blob(index["manifests"][0]["digest"]))
    config = json.loads(blob(manifest["config"]["digest"]))
    return manifest, config, tarfile.open(fileobj=io.BytesIO(blob(manifest["layers"][-1]["digest"])))


def test_a_layout_holds_the_base_and_our_files_under_the_root(fake, tmp_path):
    image = image_on(reach(fake.host), env={"B": "2", "PATH": "/opt/bin"})
    manifest, config, tar = read_layout(image.write(tmp_path / "image"))
    assert manifest["mediaType"] == MANIFESTS["oci"]
    assert len(manifest["layers"]) == 3 == len(config["rootfs"]["diff_ids"])
    names = {m.name: m for m in tar.getmembers()}
    assert list(names)[:3] == ["var/task", "var/task/app", "var/task/model"]
    assert tar.extractfile("var/task/app/handler.py").read() == b"def predict(x): return x\n"
    assert {m.mtime for m in names.values()} == {0}
    assert {(m.uid, m.gid, m.uname, m.gname) for m in names.values()} == {(0, 0, "", "")}
    assert {m.mode for m in names.values()} == {0o755, 0o644}
    assert names["var/task/app"].isdir()


def test_the_configuration_is_the_bases_with_ours_on_top(fake, tmp_path):
    image = image_on(reach(fake.host), env={"B": "2", "PATH": "/opt/bin"})
    _, config, _ = read_layout(image.write(tmp_path / "image"))
    inner = config["config"]
    assert inner["Env"] == ["PATH=/opt/bin", "LAMBDA_TASK_ROOT=/var/task", "B=2"]
    assert inner["Entrypoint"] == ["/lambda-entrypoint.sh"]
    assert inner["Cmd"] == ["lambda_handler.handler"]
    assert inner["Labels"] == {"maker": "test", "clouddeploy.digest": image.digest}
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert config["architecture"] == "arm64"
    assert len([h for h in config["history"] if not h.get("empty_layer")]) == 3


def test_each_blob_is_named_by_its_own_digest(fake, tmp_path):
    folder = image_on(reach(fake.host)).write(tmp_path / "image")
    for path in (folder / "blobs" / "sha256").iterdir():
        assert sha256(path.read_bytes()).hexdigest() == path.name
    manifest, config, _ = read_layout(folder)
    raw = gzip.decompress((folder / "blobs/sha256" / manifest["layers"][-1]["digest"][7:]).read_bytes())
    assert config["rootfs"]["diff_ids"][-1] == f"sha256:{sha256(raw).hexdigest()}"


def test_the_same_inputs_give_the_same_bytes_in_another_process_and_umask(fake, tmp_path):
    first = image_on(reach(fake.host)).write(tmp_path / "first")
    code = (
        "import os, sys, pathlib; os.umask(0o077); sys.path.insert(0, '.')\n"
        "from tests.unit.images.making import image_on, reach\n"
        f"print(image_on(reach('{fake.host}')).write(pathlib.Path(sys.argv[1])))\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "second")], check=True, cwd=root, stdout=-3)
    assert tree(first) == tree(tmp_path / "second")
    assert {p.stat().st_mode & 0o777 for p in tree_paths(tmp_path / "second")} == {0o755, 0o644}


def tree_paths(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def test_the_digest_is_known_before_and_follows_whatever_goes_in(fake, monkeypatch):
    client = reach(fake.host)
    image = image_on(client)
    assert image.digest == image_on(client).digest
    other_file = ImageArtifact.of(image.base, FILES[:-1], root="/var/task", cmd=image.cmd)
    others = [
        other_file,
        image_on(client, env={"A": "1"}),
        image_on(client, architecture="amd64"),
        replace(image, cmd=("other",)),
        replace(image, family="docker"),
        replace(image, workdir="/tmp"),
        replace(image, created=5),
        ImageArtifact.of(image.base, FILES, root="/opt/task", cmd=image.cmd),
    ]
    assert len({image.digest, *(other.digest for other in others)}) == 1 + len(others)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert image_on(client).created == 86400
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(SpecError, match="SOURCE_DATE_EPOCH is 'yesterday'"):
        image_on(client)


def test_the_base_is_chosen_by_platform_from_an_index_of_either_family(fake):
    client = reach(fake.host)
    put_index(client, "lambda/python", "docker", family="docker")
    for tag in ("3.13", "docker"):
        for architecture, name in (("x86_64", "amd64"), ("arm64", "arm64")):
            base = image_on(client, architecture=architecture, tag=tag).base
            assert base.architecture == name == json.loads(base.config)["architecture"]
            assert base.name == f"{fake.host}/lambda/python@{base.digest}"


def test_a_docker_base_becomes_an_oci_image_and_the_other_way_round(fake, tmp_path):
    client = reach(fake.host)
    put_index(client, "lambda/python", "docker", family="docker")
    manifest, _, _ = read_layout(image_on(client, tag="docker").write(tmp_path / "oci"))
    assert {layer["mediaType"] for layer in manifest["layers"]} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }
    pushed = replace(image_on(client), family="docker").push(client, "mine", "v1")
    raw, media_type = fake.manifests["mine", pushed.digest]
    assert media_type == MANIFESTS["docker"]
    assert b"oci" not in raw
    with pytest.raises(SpecError, match="can't be written as an OCI layout"):
        replace(image_on(client), family="docker").write(tmp_path / "docker")


def test_an_image_pinned_by_digest_stays_when_its_tag_moves(fake):
    client = reach(fake.host)
    before = image_on(client).base
    put_image(client, "lambda/python", "3.13", family="oci", architecture="arm64", author="newer")
    assert image_on(client).base.digest != before.digest
    assert Base.resolve(before.name, architecture="arm64", registry=client).digest == before.digest


def test_a_layout_is_a_base_too_without_any_registry(fake, tmp_path):
    first = image_on(reach(fake.host)).write(tmp_path / "first", tag="v1")
    base = Layout(first).base(architecture="arm64", tag="v1")
    second = ImageArtifact.of(base, [Member.of_bytes("more.txt", b"more")], root="/opt/more")
    manifest, config, _ = read_layout(second.write(tmp_path / "second"))
    assert len(manifest["layers"]) == 4 == len(config["rootfs"]["diff_ids"])
    assert config["config"]["Cmd"] == ["lambda_handler.handler"]
    pushed = second.push(reach(fake.host), "from-layout", "v1")
    assert ("from-layout", pushed.digest) in fake.manifests


def test_a_lambda_image_has_requirements_model_and_code_as_layers_of_their_own(fake, tmp_path):
    image = lambda_image(image_on(reach(fake.host)).base, FILES)
    assert [layer.what for layer in image.layers] == ["requirements", "model", "code"]
    assert image.cmd == ("lambda_handler.handler",)
    _, _, tar = read_layout(image.write(tmp_path / "image"))
    assert tar.getnames() == [
        "var/task",
        "var/task/app",
        "var/task/app/handler.py",
        "var/task/lambda_handler.py",
    ]
    assert lambda_base("3.13") == "public.ecr.aws/lambda/python:3.13"


def test_the_zips_own_files_go_into_the_layers_that_change_often():
    from clouddeploy.packaging.aws_lambda import OURS

    assert CODE | {"model"} == OURS


def test_more_than_lambda_takes_is_refused_before_anything_is_written(fake):
    base = image_on(reach(fake.host)).base
    huge = Member("model/w.bin", IMAGE_BYTES, "0" * 64, Path("nowhere"))
    with pytest.raises(ModelError, match="Lambda takes 10,737,418,240 bytes, uncompressed: model 10,737"):
        lambda_image(base, [huge])


def test_a_file_that_changed_or_vanished_leaves_nothing(fake, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"12345")
    member = Member("model/w", 5, sha256(b"12345").hexdigest(), path)
    image = ImageArtifact.of(image_on(reach(fake.host)).base, [member], root="/opt/ml")
    (tmp_path / "out").mkdir()
    path.write_bytes(b"12346")
    with pytest.raises(ModelChanged, match="'model/w' changed"):
        image.write(tmp_path / "out" / "image")
    with pytest.raises(ModelChanged):
        image.push(reach(fake.host), "mine", "v1")
    path.unlink()
    with pytest.raises(ModelError, match="can't be read"):
        image.write(tmp_path / "out" / "image")
    assert list((tmp_path / "out").iterdir()) == []
    assert not [key for key in fake.blobs if key[0] == "mine"]


def test_a_full_disk_is_told_and_leaves_nothing(fake, tmp_path):
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.images.full_disk", fake.host, str(tmp_path)],
        check=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.count("no room to write") == 2, done.stderr
    assert list(tmp_path.rglob("*")) == [tmp_path / "tmp"]
    assert not [key for key in fake.blobs if key[0] == "mine"]


def test_an_interrupted_writing_leaves_nothing(fake, tmp_path):
    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image_on(reach(fake.host)).write(tmp_path / "image", report=stop)
    assert list(tmp_path.iterdir()) == []


def test_writing_reports_up_to_the_whole(fake, tmp_path):
    told = []
    image_on(reach(fake.host)).write(
        tmp_path / "image", report=lambda done, total: told.append((done, total))
    )
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 256_000


def test_an_existing_folder_with_something_in_it_is_not_touched(fake, tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(SpecError, match="is there already"):
        image_on(reach(fake.host)).write(tmp_path)
    assert tree(tmp_path) == {"mine": b"precious"}


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../b", "a//b", "./a", "C:x", "a\\b", "a\0b"])
def test_names_that_leave_the_root_are_refused(name):
    with pytest.raises(ModelError, match="can't be packed"):
        Layer.of([Member.of_bytes(name, b"")], root="/var/task", what="files")


@pytest.mark.parametrize("name", [".wh.app", "a/.wh..wh..opq"])
def test_names_that_would_delete_are_refused(name):
    with pytest.raises(SpecError, match=r"names that begin with \.wh\. delete"):
        Layer.of([Member.of_bytes(name, b"")], root="/var/task", what="files")


@pytest.mark.parametrize(
    "root", ["var/task", "/", "/tmp", "/var/task/", "/var/../etc", "/var//task", "/var/./x", ""]
)
def test_a_root_that_is_relative_or_the_systems_is_refused(root):
    with pytest.raises((SpecError, ModelError)):
        Layer.of(FILES, root=root, what="files")


@pytest.mark.parametrize("env", [{"": "x"}, {"a=b": "x"}, {"a": "x\0y"}])
def test_environments_that_no_process_can_have_are_refused(fake, env):
    with pytest.raises(SpecError, match="can't be set"):
        image_on(reach(fake.host), env=env)


def test_an_entrypoint_of_ours_drops_the_bases_command(fake, tmp_path):
    image = replace(image_on(reach(fake.host)), entrypoint=("/bin/serve",), cmd=None, workdir="/opt")
    _, config, _ = read_layout(image.write(tmp_path / "image"))
    assert (config["config"]["Entrypoint"], config["config"]["Cmd"]) == (["/bin/serve"], [])
    assert config["config"]["WorkingDir"] == "/opt"


def test_a_base_whose_history_does_not_fit_its_layers_gets_none(fake, tmp_path):
    client = reach(fake.host)
    put_image(
        client, "lambda/python", "odd", family="oci", architecture="arm64", history=[{"created_by": "x"}]
    )
    _, config, _ = read_layout(image_on(client, tag="odd").write(tmp_path / "image"))
    assert "history" not in config


def test_a_long_name_is_packed_and_read_back(fake, tmp_path):
    name = "a" * 120 + "/" + "b" * 200 + "/ü.txt"
    base = image_on(reach(fake.host)).base
    _, _, tar = read_layout(
        ImageArtifact.of(base, [Member.of_bytes(name, b"x")], root="/var/task").write(tmp_path / "image")
    )
    assert tar.extractfile(f"var/task/{name}").read() == b"x"
    assert tar.getmember("var/task/" + "a" * 120 + "/" + "b" * 200).isdir()


def test_a_layout_without_its_blobs_or_with_other_bytes_is_refused(fake, tmp_path):
    folder = image_on(reach(fake.host)).write(tmp_path / "image")
    image = ImageArtifact.of(Layout(folder).base(architecture="arm64"), FILES, root="/opt/x")
    path = folder / "blobs" / "sha256" / image.base.layers[0].digest[7:]
    path.write_bytes(b"other" + path.read_bytes()[5:])
    with pytest.raises(CloudError, match="its bytes have another digest"):
        image.write(tmp_path / "second")
    shutil.rmtree(folder)
    with pytest.raises(NotFound, match="holds no such image"):
        Layout(folder).base(architecture="arm64")
    assert list(tmp_path.iterdir()) == []
