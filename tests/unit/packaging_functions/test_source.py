"""The source for Cloud Functions: its layout, its requirements, its limits, and that it stays the same."""

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

from clouddeploy.errors import ModelChanged, ModelError, SpecError
from clouddeploy.model import File, Model
from clouddeploy.packaging.cloud_functions import FunctionSource, function_source
from clouddeploy.packaging.shipped import handler_source, runtime_files
from clouddeploy.testing.wheelhouse import Wheelhouse
from tests.unit.packaging_lambda.conftest import ENTRY
from tests.unit.packaging_lambda.test_aws_lambda import with_code

LOCK = ("flask==3.1", "functions-framework==3.10.2", "numpy==2.0")


def packed(model: Model, **options: object) -> FunctionSource:
    return function_source(model, **{"python": "3.13", **options})  # type: ignore[arg-type]


def files_in(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_layout_is_what_googles_build_and_the_entry_file_expect(
    wheels: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    source = packed(folder_model)
    files = files_in(source.write(tmp_path / "function.zip"))
    assert files["main.py"] == handler_source("cloud_function.py")
    assert files["requirements.txt"].decode().splitlines() == list(LOCK) == list(source.lock)
    assert {name: files[name] for name in files if name.startswith("clouddeploy/")} == runtime_files()
    assert files["app/handler.py"] == ENTRY.encode()
    assert json.loads(files["model/clouddeploy.json"]) == folder_model.manifest()
    assert files["model/weights.bin"] == bytes(range(256)) * 40
    assert "clouddeploy-model.json" not in files
    assert source.remote_model is None
    assert source.unpacked_bytes == sum(map(len, files.values()))


def test_the_folder_holds_the_same_files(wheels: Wheelhouse, folder_model: Model, tmp_path: Path) -> None:
    source = packed(folder_model)
    folder = source.write_folder(tmp_path / "folder")
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == files_in(source.write(tmp_path / "function.zip"))
    with pytest.raises(SpecError, match="is there already"):
        source.write_folder(tmp_path / "folder")


def test_the_same_model_gives_the_same_bytes_from_another_folder_and_another_cache(
    wheels: Wheelhouse, folder_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = packed(folder_model)
    one = first.write(tmp_path / "one.zip").read_bytes()
    copied = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "model-folder", copied)
    os.utime(copied / "weights.bin", (0, 0))
    monkeypatch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path / "other-cache"))
    second = packed(Model.from_folder(copied, handler=copied / "handler.py", check=False))
    assert second.digest == first.digest
    assert second.write(tmp_path / "two.zip").read_bytes() == one


def test_the_digest_is_the_same_in_another_process(
    wheels: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from clouddeploy import Model\n"
        "from clouddeploy.packaging.cloud_functions import function_source\n"
        "folder = Path(sys.argv[1])\n"
        "model = Model.from_folder(folder, handler=folder / 'handler.py', check=False)\n"
        "print(function_source(model, python='3.13').digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model-folder")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "77"},
    )
    assert done.stdout.strip() == packed(folder_model).digest


def test_other_requirements_have_another_digest(wheels: Wheelhouse, folder_model: Model) -> None:
    wheels.wheel("extra", "1", {"extra.py": ""})
    assert packed(folder_model).digest != packed(replace(folder_model, requirements=("extra",))).digest


def test_a_framework_that_the_model_asks_for_is_kept(wheels: Wheelhouse, folder_model: Model) -> None:
    wheels.wheel("functions-framework", "3.9.0", {"functions_framework.py": ""})
    found = packed(replace(folder_model, requirements=("functions-framework<3.10",)))
    assert "functions-framework==3.9.0" in found.lock


@pytest.mark.parametrize(
    ("requirements", "said"),
    [
        (("nothing-of-that-name",), "can't be resolved"),
        (("flask<3",), "can't be resolved"),
        (("only-arm",), r"only-arm v?1 has no wheel for Python 3\.13 on x86_64"),
    ],
)
def test_requirements_that_can_not_be_met_are_refused(
    requirements: tuple[str, ...], said: str, wheels: Wheelhouse, folder_model: Model
) -> None:
    wheels.wheel("only-arm", "1", {"only_arm.py": ""}, tag="cp313-cp313-manylinux_2_28_aarch64")
    with pytest.raises(ModelError, match=said):
        packed(replace(folder_model, requirements=requirements))


@pytest.mark.parametrize(
    ("python", "fits"), [("3.9", "2_17"), ("3.13", "2_35"), ("3.14", "2_39"), ("3.20", "2_39")]
)
def test_wheels_fit_the_base_image_of_the_runtime(
    python: str, fits: str, wheels: Wheelhouse, folder_model: Model
) -> None:
    assert packed(folder_model, python=python).platform.glibc == fits


def test_a_python_that_is_none_is_refused(folder_model: Model) -> None:
    with pytest.raises(SpecError, match="python is '313'"):
        packed(folder_model, python="313")


def test_a_form_that_is_none_is_refused(folder_model: Model) -> None:
    with pytest.raises(SpecError, match="form is 'tf'"):
        packed(folder_model, form="tf")


@pytest.mark.parametrize(
    "index", ["cpu", "ftp://wheels.example/cpu", "https://a b", "https://u:p@w.example/"]
)
def test_an_index_that_google_could_not_ask_is_refused(index: str, folder_model: Model) -> None:
    with pytest.raises(SpecError, match="torch_index") as caught:
        packed(folder_model, form="torch", torch_index=index)
    assert "u:p" not in str(caught.value)


def test_torch_is_refused_in_the_onnx_form_and_offered(
    wheels: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"'torch', which isn't served in the ONNX form") as caught:
        packed(replace(folder_model, requirements=("torch",)))
    assert 'form="torch"' in caught.value.fix
    with pytest.raises(ModelError, match=r"handler\.py imports torch"):
        packed(with_code(folder_model, tmp_path / "eager", f"import torch\n{ENTRY}"))
    wheels.wheel("torch", "2.13.0", {"torch/__init__.py": ""})
    wheels.wheel("lightning", "1", {"lightning.py": ""}, requires=["torch"])
    with pytest.raises(ModelError, match=r"'torch==2\.13\.0', which isn't served"):
        packed(replace(folder_model, requirements=("lightning",)))


def test_torch_is_packed_when_asked_for_with_the_index_that_was_given(
    wheels: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    wheels.wheel("torch", "2.13.0", {"torch/__init__.py": ""})
    model = replace(folder_model, requirements=("torch",))
    plain = packed(model, form="torch")
    assert "torch==2.13.0" in plain.lock
    assert ["CUDA" in warning for warning in plain.warnings] == [True]
    named = packed(model, form="torch", torch_index="https://wheels.example/cpu")
    text = files_in(named.write(tmp_path / "function.zip"))["requirements.txt"].decode()
    assert text.splitlines()[0] == "--extra-index-url https://wheels.example/cpu"
    assert "torch==2.13.0" in text.splitlines()
    assert named.warnings == ()


def test_a_build_that_only_this_machines_index_has_is_refused_without_that_index(
    wheels: Wheelhouse, folder_model: Model
) -> None:
    wheels.wheel("torch", "2.13.0+cpu", {"torch/__init__.py": ""})
    model = replace(folder_model, requirements=("torch",))
    with pytest.raises(
        ModelError, match=r"torch==2\.13\.0\+cpu, which Google's build would not find"
    ) as caught:
        packed(model, form="torch")
    assert "torch_index" in caught.value.fix
    named = packed(model, form="torch", torch_index="https://wheels.example/cpu")
    assert "torch==2.13.0+cpu" in named.lock


def test_a_source_over_the_limit_is_refused_with_its_largest_parts(
    wheels: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        file.truncate(600_000_000)
    huge = File("huge.bin", path, 600_000_000, sha256(b"").hexdigest())
    with pytest.raises(ModelError, match=r"572\.\d MiB unpacked") as caught:
        packed(replace(folder_model, code=(*folder_model.code, huge)))
    assert "app 572.2 MiB" in caught.value.why
    assert "cloud-run" in caught.value.fix


def test_a_secret_in_the_code_is_told_without_telling_it(
    wheels: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    source = packed(with_code(folder_model, tmp_path / "leaky", f"{ENTRY}KEY = '{secret}'\n"))
    assert source.warnings == ("app/handler.py:7: looks like an AWS access key id",)


def test_weights_changed_since_the_model_was_made_are_a_changed_model(
    wheels: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    source = packed(folder_model)
    (tmp_path / "model-folder" / "weights.bin").write_bytes(b"other")
    with pytest.raises(ModelChanged, match=r"model/weights\.bin"):
        source.write(tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("torch.set_num_threads(4)", "calls set_num_threads"),
        ("torch.set_num_threads(count)", "calls set_num_threads"),
        ("os.environ['OMP_NUM_THREADS'] = '4'", "sets OMP_NUM_THREADS"),
        ("os.environ.setdefault('MKL_NUM_THREADS', n)", "sets MKL_NUM_THREADS"),
        ("torch.set_num_threads(1)", ""),
        ("os.environ['OMP_NUM_THREADS'] = '1'", ""),
        ("os.environ['OTHER'] = '4'", ""),
    ],
)
def test_a_handler_that_starts_threads_before_the_fork_is_told_of(
    line: str, said: str, wheels: Wheelhouse, folder_model: Model, tmp_path: Path
) -> None:
    model = with_code(
        folder_model, tmp_path / "threads", f"{ENTRY}\n\ndef f(count, n, os, torch):\n    {line}\n"
    )
    found = packed(model).warnings
    assert [warning.partition(",")[0] for warning in found] == (
        [f"app/handler.py:10: {said}"] if said else []
    )
    assert all("CLOUDDEPLOY_THREADS" in warning for warning in found)
