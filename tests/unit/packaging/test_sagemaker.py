from __future__ import annotations

import gc
import json
import tarfile
from pathlib import Path

import pytest

import clouddeploy
from clouddeploy.errors import CloudDeployError, ModelError, SpecError
from clouddeploy.model import File, Model
from clouddeploy.packaging import handler_source, runtime_files, sagemaker_artifact
from clouddeploy.packaging.sagemaker import PREFIX_FROM_BYTES

PACKAGE = Path(clouddeploy.__file__).parent


@pytest.fixture
def model(tmp_path):
    """A model of files on disk; `requirements`, `files` and `code` as asked."""

    def make(*, files=("w.bin",), code=("handler.py",), handler="handler.py", size=None, requirements=()):
        made = {}
        for name in (*files, *code):
            path = tmp_path / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {name}\n")
            made[name] = File.read(name, path)
        picked = [made[name] for name in files]
        if size is not None:
            picked = [File(f.name, f.path, size, f.sha256) for f in picked]
        return Model(
            format="files",
            files=tuple(picked),
            code=tuple(made[name] for name in code),
            handler=handler,
            requirements=tuple(requirements),
        )

    return make


def names(artifact):
    return [m.name for m in artifact.members]


def test_the_layout_is_the_one_that_sagemakers_containers_take(model):
    artifact = sagemaker_artifact(model(requirements=["scikit-learn"]), pins=["torch==2.6.0"])
    assert set(names(artifact)) - set(runtime_names()) == {
        "clouddeploy.json",
        "w.bin",
        "code/inference.py",
        "code/requirements.txt",
        "code/app/handler.py",
    }
    assert set(runtime_names()) <= set(names(artifact))
    assert names(artifact) == sorted(names(artifact))


def runtime_names():
    return [f"code/{name}" for name in runtime_files()]


def test_the_entry_file_and_the_runtime_are_ours_byte_for_byte():
    assert (
        handler_source("sagemaker_inference.py")
        == (PACKAGE.parent / "handlers/sagemaker_inference.py").read_bytes()
    )
    shipped = runtime_files()
    assert "clouddeploy/__init__.py" not in shipped, "inside an artifact clouddeploy is a namespace package"
    assert shipped["clouddeploy/runtime/wire.py"] == (PACKAGE / "runtime/wire.py").read_bytes()
    assert list(shipped) == sorted(shipped)
    assert all(name.endswith(".py") and "__pycache__" not in name for name in shipped)


def test_an_entry_file_that_is_not_there_is_told_with_the_places_looked_in():
    with pytest.raises(CloudDeployError, match=r"'no\.py' is missing") as error:
        handler_source("no.py")
    assert "_handlers" in error.value.why


def test_the_manifest_is_the_models_and_requirements_stand_one_a_line(model, tmp_path):
    made = model(requirements=["B", "a>1"])
    artifact = sagemaker_artifact(made, pins=["torch==2.6.0"])
    with tarfile.open(artifact.write(tmp_path / "m.tar.gz")) as archive:
        manifest = archive.extractfile("clouddeploy.json").read()
        assert archive.extractfile("code/requirements.txt").read() == b"a>1\nb\ntorch==2.6.0\n"
    assert json.loads(manifest) == json.loads(json.dumps(made.manifest()))


def test_without_requirements_the_container_has_nothing_to_install(model):
    assert "code/requirements.txt" not in names(sagemaker_artifact(model()))


def test_the_form_follows_the_size_unless_it_is_asked_for(model):
    small, large = model(), model(size=PREFIX_FROM_BYTES)
    assert sagemaker_artifact(small).form == "gzip"
    assert sagemaker_artifact(large).form == "prefix"
    assert sagemaker_artifact(large, compression="gzip").form == "gzip"
    assert sagemaker_artifact(small, compression="none").form == "prefix"
    with pytest.raises(SpecError, match="'zip'"):
        sagemaker_artifact(small, compression="zip")


def test_environment_files_and_caches_are_left_out_and_the_former_are_told(model):
    artifact = sagemaker_artifact(
        model(files=("w.bin", ".env", "sub/.git/config"), code=("handler.py", "x.pyc"))
    )
    assert not [n for n in names(artifact) if ".env" in n or ".git" in n or n.endswith(".pyc")]
    assert artifact.warnings == (".env: left out (environment file)",)


def test_a_secret_is_warned_about_where_it_will_lie(model, tmp_path):
    made = model()
    (tmp_path / "source/handler.py").write_text("KEY = '" + "AKIA" + "IOSFODNN7EXAMPLE'\n")
    assert sagemaker_artifact(made).warnings == ("code/app/handler.py:1: looks like an AWS access key id",)


def test_a_handler_that_is_not_packed_is_an_error(model):
    with pytest.raises(ModelError, match=r"'\.env\.py' isn't among the files"):
        sagemaker_artifact(model(code=(".env.py",), handler=".env.py"))


@pytest.mark.parametrize("name", ["clouddeploy.json", "code/inference.py", "code"])
def test_a_weights_file_that_takes_a_name_of_ours_is_an_error(model, name):
    with pytest.raises(ModelError, match="clashes"):
        sagemaker_artifact(model(files=(name,)))


def test_the_digest_follows_the_content_and_not_the_place(model, tmp_path):
    first = sagemaker_artifact(model())
    moved = tmp_path / "moved"
    (tmp_path / "source").rename(moved)
    again = Model(
        format="files",
        files=(File.read("w.bin", moved / "w.bin"),),
        code=(File.read("handler.py", moved / "handler.py"),),
        handler="handler.py",
    )
    assert sagemaker_artifact(again).digest == first.digest
    assert sagemaker_artifact(again, pins=["torch==2.6.0"]).digest != first.digest
    (moved / "w.bin").write_text("other")
    other = Model(
        format="files", files=(File.read("w.bin", moved / "w.bin"),), code=again.code, handler="handler.py"
    )
    assert sagemaker_artifact(other).digest != first.digest


def test_the_artifact_keeps_the_models_temporary_files_alive(model):
    made = model()
    artifact = sagemaker_artifact(made)
    del made
    gc.collect()
    assert isinstance(artifact.origin, Model)
