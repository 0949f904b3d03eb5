"""The image that Cloud Run runs, and its base as it was first found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clouddeploy.errors import ModelError, SpecError
from clouddeploy.model import Model
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.images import Base, Registry
from clouddeploy.packaging.images.base_lock import locked_base
from clouddeploy.packaging.images.cloud_run import Form, run_base, run_files, run_image
from clouddeploy.packaging.images.compose import config_of
from clouddeploy.testing.models import linear_model
from clouddeploy.testing.wheelhouse import Wheelhouse
from tests.unit.cloud_run.conftest import Bench


def base(bench: Bench) -> Base:
    return Base.resolve("python:3.13-slim", architecture="x86_64", registry=Registry(bench.host()))


def test_the_layers_change_as_seldom_as_what_is_in_them(bench: Bench) -> None:
    names = (
        "numpy/__init__.py",
        "model/weights.npz",
        "main.py",
        "app/handler.py",
        "clouddeploy/runtime/x.py",
    )
    image = run_image(base(bench), [Member.of_bytes(name, b"") for name in names])
    assert [(layer.what, layer.root) for layer in image.layers] == [
        ("requirements", "/app"),
        ("model", "/app"),
        ("code", "/app"),
    ]


def test_the_container_listens_by_functions_framework_on_our_entry(bench: Bench) -> None:
    image = run_image(base(bench), [Member.of_bytes("main.py", b"")], env={"MODE": "fast"})
    config = json.loads(config_of(image, []))["config"]
    assert config["Cmd"] == ["python", "-m", "functions_framework"]
    assert config["WorkingDir"] == "/app"
    env = dict(entry.split("=", 1) for entry in config["Env"])
    assert (env["FUNCTION_TARGET"], env["FUNCTION_SOURCE"]) == ("predict", "/app/main.py")
    assert env["MODE"] == "fast"


def test_equal_images_of_two_deployments_are_unpacked_once(bench: Bench) -> None:
    uris = [bench.push(repository, name, text) for repository, name, text in (
        ("first", "a", "the same"), ("second", "b", "the same"), ("third", "c", "another"))]  # fmt: skip
    found = [bench.cloud.images.find(uri) for uri in uris]
    roots = [image.root for image in found if image is not None]
    assert roots[0] == roots[1] != roots[2]
    assert (roots[2] / "app" / "main.py").read_text() == "another"


def test_a_base_stays_what_it_was_first_found_to_be(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(bench.host())
    first = locked_base("python:3.13-slim", architecture="x86_64", registry=registry)
    assert first == base(bench)
    assert bench.cloud.registry is not None
    bench.cloud.registry.clear()
    assert locked_base("python:3.13-slim", architecture="x86_64", registry=registry) == first
    assert locked_base("python:3.13-slim", architecture="x86_64", registry=registry).layers == first.layers
    monkeypatch.setenv("CLOUDDEPLOY_RELOCK", "1")
    with pytest.raises(Exception, match="python"):
        locked_base("python:3.13-slim", architecture="x86_64", registry=registry)


def test_a_lock_that_is_damaged_is_made_anew(bench: Bench, tmp_path: Path) -> None:
    registry = Registry(bench.host())
    first = locked_base("python:3.13-slim", architecture="x86_64", registry=registry)
    for path in (tmp_path / "cache" / "bases").iterdir():
        path.write_text("{")
    assert locked_base("python:3.13-slim", architecture="x86_64", registry=registry) == first


def test_a_python_that_is_none_is_refused(tmp_path: Path) -> None:
    assert run_base("3.12") == "python:3.12-slim"
    for bad in ("313", "3", "2.7"):
        with pytest.raises(SpecError, match="python"):
            run_base(bad)
    with pytest.raises(SpecError, match="architecture"):
        run_files(linear_model(tmp_path, 1.0), python="3.13", architecture="mips")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheelhouse:
    house = Wheelhouse(tmp_path / "wheels")
    house.wheel("numpy", "2.3.0", {"numpy/__init__.py": ""})
    house.wheel("functions-framework", "3.10.2", {"functions_framework/__init__.py": ""})
    monkeypatch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    for name, value in house.env().items():
        monkeypatch.setenv(name, value)
    return house


def test_the_files_are_entry_runtime_model_and_wheels(house: Wheelhouse, tmp_path: Path) -> None:
    files = run_files(linear_model(tmp_path, 1.0), python="3.13", architecture="x86_64")
    names = {member.name for member in files.members}
    assert {
        "main.py",
        "requirements.lock",
        "model/clouddeploy.json",
        "clouddeploy/runtime/service.py",
    } <= names
    assert {"numpy/__init__.py", "functions_framework/__init__.py"} <= names
    assert files.lock == ("functions-framework==3.10.2", "numpy==2.3.0")
    again = run_files(linear_model(tmp_path, 1.0), python="3.13", architecture="x86_64")
    assert files.members == again.members


def test_wheels_that_take_a_name_of_ours_are_refused(house: Wheelhouse, tmp_path: Path) -> None:
    house.wheel("numpy", "2.4.0", {"numpy/__init__.py": "", "main.py": ""})
    with pytest.raises(ModelError, match="main"):
        run_files(linear_model(tmp_path, 1.0), python="3.13", architecture="x86_64")


def importing_torch(folder: Path) -> Model:
    """A model whose handler imports torch, as nothing else serves it."""
    code = "import torch\n\n\ndef predict(inputs):\n    return inputs\n"
    (folder / "handler.py").write_text(code)
    (folder / "weights").mkdir()
    (folder / "weights" / "w.bin").write_bytes(b"w")
    return Model.from_folder(folder / "weights", handler=folder / "handler.py", check=False)


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_a_model_that_torch_serves_brings_torch(house: Wheelhouse, tmp_path: Path, form: Form) -> None:
    house.wheel("torch", "2.13.0", {"torch/__init__.py": ""})
    model = importing_torch(tmp_path)
    files = run_files(model, python="3.13", architecture="x86_64", form=form)
    assert "torch==2.13.0" in files.lock
    assert "torch/__init__.py" in {member.name for member in files.members}


def test_a_model_of_torchs_is_served_by_the_version_that_wrote_it(house: Wheelhouse, tmp_path: Path) -> None:
    for version in ("2.13.0", "99.0"):
        house.wheel("torch", version, {"torch/__init__.py": ""})
    (tmp_path / "net.pt").write_bytes(b"PK")
    (tmp_path / "handler.py").write_text("def predict(inputs):\n    return inputs\n")
    model = Model.from_folder(tmp_path, handler=tmp_path / "handler.py", check=False)
    exported = replace(model, format="torch-export", framework=("torch", "2.13.0+cpu"))
    files = run_files(exported, python="3.13", architecture="x86_64", form="torch")
    assert "torch==2.13.0" in files.lock
