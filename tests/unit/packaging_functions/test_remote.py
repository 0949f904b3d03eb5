"""Weights too large for the source: described in it, and found by the runtime."""

from __future__ import annotations

import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

from clouddeploy.model import File, Model
from clouddeploy.packaging.artifact import Artifact, Member
from clouddeploy.packaging.cloud_functions import FunctionSource, function_source
from clouddeploy.runtime.cloud_function import start
from clouddeploy.testing.wheelhouse import Wheelhouse
from tests.unit.runtime_cloud_function.conftest import Request, environ
from tests.unit.runtime_cloud_function.google import Google, Stored
from tests.unit.runtime_function.conftest import kept_path

LARGE = 1_500_000
HANDLER = (
    "import numpy as np\n\n\ndef load(model_dir):\n    global total\n"
    "    total = sum(path.stat().st_size for path in model_dir.glob('*.bin'))\n\n\n"
    "def predict(inputs):\n    return np.full((len(inputs), 1), total)\n"
)


def model_of(folder: Path, *sizes: int) -> Model:
    folder.mkdir()
    for number, size in enumerate(sizes):
        (folder / f"{number}.bin").write_bytes(bytes([number]) * size)
    (folder / "handler.py").write_text(HANDLER)
    return Model.from_folder(folder, handler=folder / "handler.py", check=False)


def packed(model: Model, limit: int = 1_000) -> FunctionSource:
    return function_source(model, python="3.13", model_bytes_in_zip=limit)


def test_weights_up_to_the_limit_stay_in_the_source(wheels: Wheelhouse, tmp_path: Path) -> None:
    model = model_of(tmp_path / "m", LARGE)
    weights = sum(file.size for file in model.files)
    assert packed(model, weights).remote_model is None
    assert packed(model, weights - 1).remote_model is not None


def test_one_large_file_lies_in_cloud_storage_as_it_is(wheels: Wheelhouse, tmp_path: Path) -> None:
    source = packed(model_of(tmp_path / "m", LARGE, 10))
    one = source.remote_model
    assert isinstance(one, Member)
    assert (one.name, one.size, one.source) == ("0.bin", LARGE, tmp_path / "m" / "0.bin")
    assert source.remote is not None
    assert source.remote.object == f"models/{one.sha256}"
    with zipfile.ZipFile(source.write(tmp_path / "f.zip")) as archive:
        assert "model/1.bin" in archive.namelist()
        assert "model/0.bin" not in archive.namelist()
        found = json.loads(archive.read("clouddeploy-model.json"))
    row = {"name": "0.bin", "size": LARGE, "sha256": one.sha256}
    assert found == {"version": 1, "object": f"models/{one.sha256}", "form": "file", "files": [row]}
    assert ["Cloud Storage" in warning for warning in source.warnings] == [True]


def test_several_large_files_lie_there_as_one_archive(wheels: Wheelhouse, tmp_path: Path) -> None:
    source = packed(model_of(tmp_path / "m", LARGE, LARGE, 10))
    archive = source.remote_model
    assert isinstance(archive, Artifact)
    with tarfile.open(archive.write(tmp_path / "m.tar.gz")) as tar:
        assert sorted(tar.getnames()) == ["0.bin", "1.bin"]


def test_small_files_leave_the_source_only_where_there_is_no_large_one(
    wheels: Wheelhouse, tmp_path: Path
) -> None:
    archive = packed(model_of(tmp_path / "m", 900, 900)).remote_model
    assert isinstance(archive, Artifact)
    assert [member.name for member in archive.members][:2] == ["0.bin", "1.bin"]


def test_other_weights_of_the_same_size_have_another_digest(wheels: Wheelhouse, tmp_path: Path) -> None:
    model = model_of(tmp_path / "m", LARGE)
    (tmp_path / "other.bin").write_bytes(b"x" * LARGE)
    other = File.read("0.bin", tmp_path / "other.bin")
    others = tuple(other if file.name == "0.bin" else file for file in model.files)
    assert packed(model).digest != packed(replace(model, files=others)).digest


def test_the_runtime_downloads_what_was_packed(wheels: Wheelhouse, tmp_path: Path) -> None:
    for sizes in ((LARGE, 10), (LARGE, LARGE, 10)):
        base = tmp_path / str(len(sizes))
        base.mkdir()
        source = packed(model_of(base / "m", *sizes))
        root = source.write_folder(base / "folder")
        one = source.remote_model
        path = one.source if isinstance(one, Member) else one.write(base / "a.tar.gz") if one else None
        assert isinstance(path, Path)
        with Google() as google, kept_path():
            google.objects["bucket", "_functions/x/model"] = Stored(path.read_bytes())
            variables = environ(google, base, CLOUDDEPLOY_MODEL="gs://bucket/_functions/x/model#7")
            body, status, _ = start(root, variables)(Request(b'{"input":[1,2]}'))
        assert (status, json.loads(body)) == (200, {"prediction": [sum(sizes)]})
