"""The Lambda zip: its layout, its limits, and that it is the same each time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from clouddeploy.errors import ModelChanged, ModelError
from clouddeploy.model import File, Model
from clouddeploy.packaging.aws_lambda import LambdaArtifact, lambda_artifact
from clouddeploy.packaging.shipped import handler_source, runtime_files
from clouddeploy.testing.wheelhouse import Wheelhouse

ENTRY = "def load(model_dir):\n    pass\n\n\ndef predict(inputs):\n    return inputs\n"


def packed(model: Model, *, python: str = "3.13", architecture: str = "arm64") -> LambdaArtifact:
    return lambda_artifact(model, python=python, architecture=architecture)


def with_code(model: Model, folder: Path, source: str, **more: object) -> Model:
    """`model` with another handler."""
    folder.mkdir(exist_ok=True)
    (folder / "handler.py").write_text(source)
    code = (File.read("handler.py", folder / "handler.py"),)
    return replace(model, code=code, handler="handler.py", **more)  # type: ignore[arg-type]


def test_the_layout_is_what_the_entry_file_expects(
    numpy_like: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    artifact = packed(folder_model)
    with zipfile.ZipFile(artifact.write(tmp_path / "function.zip")) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files["lambda_handler.py"] == handler_source("lambda_handler.py")
    assert {name: files[name] for name in files if name.startswith("clouddeploy/")} == runtime_files()
    assert files["app/handler.py"] == ENTRY.encode()
    assert json.loads(files["model/clouddeploy.json"]) == folder_model.manifest()
    assert files["model/weights.bin"] == bytes(range(256)) * 40
    assert files["requirements.lock"] == b"numpy==2.0\n"
    assert files["numpy/__init__.py"] == b"array = list\n"
    assert json.loads(files["clouddeploy-packages.json"]) == {
        "python": "3.13",
        "architecture": "arm64",
        "entries": ["numpy", "numpy-2.0.dist-info"],
    }


def test_the_same_model_gives_the_same_bytes_from_another_folder_and_another_cache(
    numpy_like: Wheelhouse, folder_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = packed(folder_model)
    one = first.write(tmp_path / "one.zip").read_bytes()
    copied = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "model-folder", copied)
    os.utime(copied / "weights.bin", (0, 0))
    monkeypatch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path / "other-cache"))
    again = Model.from_folder(copied, handler=copied / "handler.py", check=False)
    second = packed(again)
    assert second.digest == first.digest
    assert second.write(tmp_path / "two.zip").read_bytes() == one


def test_the_digest_is_the_same_in_another_process(
    numpy_like: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from clouddeploy import Model\n"
        "from clouddeploy.packaging.aws_lambda import lambda_artifact\n"
        "folder = Path(sys.argv[1])\n"
        "model = Model.from_folder(folder, handler=folder / 'handler.py', check=False)\n"
        "print(lambda_artifact(model, python='3.13', architecture='arm64').digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model-folder")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert done.stdout.strip() == packed(folder_model).digest


def test_each_platform_has_its_own_digest(numpy_like: Wheelhouse, folder_model: Model) -> None:
    found = {
        packed(folder_model, python=python, architecture=architecture).digest
        for python in ("3.12", "3.13")
        for architecture in ("arm64", "x86_64")
    }
    assert len(found) == 4


def test_the_size_is_told_by_parts_before_anything_is_written(
    numpy_like: Wheelhouse, folder_model: Model
) -> None:
    numpy_like.wheel("big", "1", {"big/data.bin": bytes(500_000), "big.libs/core.so": bytes(10_000)})
    artifact = packed(replace(folder_model, requirements=("big",)))
    assert artifact.lock == ("big==1", "numpy==2.0")
    assert artifact.largest[0] == ("big", 510_000)
    assert len(artifact.largest) == 5
    assert artifact.unpacked_bytes == sum(member.size for member in artifact.members)


def test_a_package_over_the_limit_is_refused_with_its_largest_parts(
    numpy_like: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        file.truncate(262_144_000)
    huge = File("huge.bin", path, 262_144_000, sha256(b"").hexdigest())
    with pytest.raises(ModelError, match=r"250\.\d MiB unpacked") as caught:
        packed(replace(folder_model, files=(*folder_model.files, huge)))
    assert "model 250.0 MiB" in caught.value.why
    assert "image" in caught.value.fix


@pytest.mark.parametrize("line", ["torch", "torch==2.13.0", "Torch>=2"])
def test_torch_among_the_requirements_is_refused_before_anything_is_resolved(
    house: Wheelhouse, folder_model: Model, line: str
) -> None:
    with pytest.raises(ModelError, match="doesn't fit a Lambda zip") as caught:
        packed(replace(folder_model, requirements=(line,)))
    assert 'Model.to("onnx")' in caught.value.fix
    assert "image" in caught.value.fix


def test_torch_that_a_requirement_brings_is_refused_too(numpy_like: Wheelhouse, folder_model: Model) -> None:
    numpy_like.wheel("torch", "2.13.0", {"torch/__init__.py": ""})
    numpy_like.wheel("lightning", "1", {"lightning.py": ""}, requires=["torch"])
    with pytest.raises(ModelError, match=r"'torch==2\.13\.0', which doesn't fit"):
        packed(replace(folder_model, requirements=("lightning",)))


def test_a_handler_that_imports_torch_is_refused_and_one_that_may_do_without_is_not(
    numpy_like: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"handler\.py imports torch"):
        packed(with_code(folder_model, tmp_path / "eager", f"import torch\n{ENTRY}"))
    lazy = f"try:\n    import torch\nexcept ImportError:\n    torch = None\n{ENTRY}"
    assert packed(with_code(folder_model, tmp_path / "lazy", lazy)).lock == ("numpy==2.0",)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("clouddeploy", {"clouddeploy/__init__.py": ""}),
        ("app", {"app/__init__.py": ""}),
        ("model", {"model.py": ""}),
        ("other", {"lambda_handler.py": ""}),
    ],
)
def test_a_requirement_whose_names_are_ours_is_refused(
    numpy_like: Wheelhouse, folder_model: Model, name: str, files: dict[str, str]
) -> None:
    numpy_like.wheel(name, "1", files)
    with pytest.raises(ModelError, match="a name of ours"):
        packed(replace(folder_model, requirements=(name,)))


def test_a_secret_in_the_code_is_told_without_telling_it(
    numpy_like: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    artifact = packed(with_code(folder_model, tmp_path / "leaky", f"{ENTRY}KEY = '{secret}'\n"))
    assert artifact.warnings == ("app/handler.py:7: looks like an AWS access key id",)


def test_wheels_changed_in_the_cache_are_told_and_installed_again(
    numpy_like: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    artifact = packed(folder_model)
    (artifact.tree.folder / "numpy" / "__init__.py").write_text("changed = 1")
    with pytest.raises(ModelError, match=r"the installed wheels in .* were changed") as caught:
        artifact.write(tmp_path / "a.zip")
    assert not isinstance(caught.value, ModelChanged)
    assert not (tmp_path / "a.zip").exists()
    again = packed(folder_model)
    assert again.digest == artifact.digest
    assert again.write(tmp_path / "a.zip").is_file()


def test_weights_changed_since_the_model_was_made_are_a_changed_model(
    numpy_like: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    artifact = packed(folder_model)
    (tmp_path / "model-folder" / "weights.bin").write_bytes(b"other")
    with pytest.raises(ModelChanged, match=r"model/weights\.bin"):
        artifact.write(tmp_path / "a.zip")
