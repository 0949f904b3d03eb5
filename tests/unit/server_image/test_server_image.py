"""The image with the model server: its layers, its files, and that it serves from them alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from clouddeploy.errors import ModelError, SpecError
from clouddeploy.model import Model
from clouddeploy.packaging import sagemaker_artifact
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.images import Base
from clouddeploy.packaging.images.compose import config_of
from clouddeploy.packaging.images.server import SERVE, Form, server_base, server_files, server_image
from clouddeploy.packaging.shipped import server_files as own_code
from clouddeploy.server.container import HELD, main, settings_of
from clouddeploy.server.cores import usable, whole
from clouddeploy.testing.models import linear_model
from clouddeploy.testing.registry import FakeRegistry
from clouddeploy.testing.wheelhouse import Wheelhouse
from tests.unit.images.making import put_index, reach

WHERE = """
import sys
import numpy as np


def predict(inputs):
    ours = [m.__file__ for n, m in sys.modules.items() if n.startswith("clouddeploy") and m.__file__]
    return np.array([[all("/tree/" in path for path in ours), len(ours) > 20]] * len(inputs), dtype=float)
"""


@pytest.fixture
def base() -> Iterator[Base]:
    """A base image of a few bytes."""
    with FakeRegistry() as registry:
        put_index(reach(registry.host), "python", "3.13-slim")
        yield Base.resolve(
            f"{registry.host}/python:3.13-slim", architecture="x86_64", registry=reach(registry.host)
        )


def test_the_layers_change_as_seldom_as_what_is_in_them(base: Base) -> None:
    names = (
        "app/numpy/__init__.py",
        "app/clouddeploy/server/x.py",
        "app/requirements.lock",
        "model/weights.npz",
        "model/code/app/handler.py",
    )
    image = server_image(base, [Member.of_bytes(name, b"") for name in names])
    assert [(layer.what, layer.root, [m.name for m in layer.content.members]) for layer in image.layers] == [
        ("requirements", "/app", ["numpy/__init__.py"]),
        ("model", "/app/model", ["weights.npz"]),
        ("server", "/app", ["clouddeploy/server/x.py", "requirements.lock"]),
        ("code", "/app/model", ["code/app/handler.py"]),
    ]


def test_the_container_serves_as_sagemaker_starts_it_and_by_itself(base: Base) -> None:
    image = server_image(base, [Member.of_bytes("app/x.py", b"")], env={"MODE": "fast"})
    config = json.loads(config_of(image, []))["config"]
    assert config["Entrypoint"] == ["python", "-m", "clouddeploy.server.container"]
    assert config["Cmd"] == ["serve"]
    assert config["WorkingDir"] == "/app"
    env = dict(entry.split("=", 1) for entry in config["Env"])
    assert (env["PYTHONPATH"], env["MODE"]) == ("/app", "fast")


def test_the_image_needs_what_the_extra_serve_needs() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [need.partition(";")[0] for need in project["serve"]] == list(SERVE)


@contextmanager
def container(folder: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server started from its image's files alone, and its address."""
    for name, content in own_code().items():
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / name).write_bytes(content)
    env = {k: v for k, v in os.environ.items() if not k.startswith("CLOUDDEPLOY_")}
    env["PYTHONPATH"] = str(folder / "tree")
    process = subprocess.Popen(
        [sys.executable, "-m", "clouddeploy.server.container", "serve"],
        cwd=folder / "tree",
        env={**env, "CLOUDDEPLOY_SERVE_HOST": "127.0.0.1", "CLOUDDEPLOY_SERVE_PORT": "0", **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        yield process, next((line.split()[-1] for line in lines if line.startswith("serving at")), "")
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_the_server_serves_from_the_files_of_its_image_alone(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text(WHERE)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "none.txt").write_text("x")
    model = Model.from_folder(tmp_path / "files", handler=tmp_path / "handler.py", check=False)
    (tmp_path / "tree").mkdir()
    sagemaker_artifact(model, compression="none").write(tmp_path / "tree" / "model")
    with container(tmp_path, CLOUDDEPLOY_SERVE_WORKERS="1") as (process, url):
        for path in ("/predict", "/invocations"):
            found = post(url + path, b'{"inputs":[[1,2]]}')
            assert found == {"predictions": [[1.0, 1.0]]}, "every module is the image's"
        assert json.loads(urlopen(f"{url}/ping", timeout=10).read()) == {"status": "ok"}
        assert json.loads(urlopen(f"{url}/v2", timeout=10).read())["version"], "it knows its version"
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{url}/metrics", timeout=10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_model_that_cannot_be_loaded_ends_the_container_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    sagemaker_artifact(linear_model(tmp_path, 1.0), compression="none").write(tmp_path / "tree" / "model")
    (tmp_path / "tree" / "model" / "clouddeploy.json").write_text("{")
    with container(tmp_path) as (process, url):
        assert not url
        assert process.wait(20) != 0


def post(url: str, body: bytes) -> object:
    """The JSON that comes back."""
    asked = Request(url, data=body, headers={"content-type": "application/json"})
    with urlopen(asked, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize(
    ("environ", "port"),
    [
        ({}, 8080),
        ({"PORT": "9000", "SAGEMAKER_BIND_TO_PORT": "9001"}, 9000),
        ({"SAGEMAKER_BIND_TO_PORT": "9001"}, 9001),
        ({"PORT": "9000", "CLOUDDEPLOY_SERVE_PORT": "9002"}, 9002),
    ],
)
def test_the_port_is_what_the_platform_says(environ: dict[str, str], port: int) -> None:
    found = settings_of(environ)
    assert (found.port, found.host, found.models) == (port, "0.0.0.0", HELD)
    assert not found.metrics
    assert not found.dashboard


def test_what_cannot_be_is_refused_with_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    for bad in ("0", "x", "70000", "-1"):
        with pytest.raises(SpecError, match=f"'{bad}'"):
            settings_of({"PORT": bad})
    assert main(["train"]) == SpecError.exit_code


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "rubbish"}, None),
        ({}, None),
    ],
)
def test_a_container_has_the_cores_that_its_group_is_granted(
    tmp_path: Path, files: dict[str, str], share: float | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    there = float(len(os.sched_getaffinity(0)))
    assert usable(tmp_path) == (there if share is None else min(share, there))
    assert whole(0.5) == 1
    assert whole(1.5) == 1


def test_a_python_that_is_none_is_refused(tmp_path: Path) -> None:
    assert server_base("3.12") == "python:3.12-slim"
    for bad in ("313", "3", "2.7"):
        with pytest.raises(SpecError, match="python"):
            server_base(bad)
    with pytest.raises(SpecError, match="architecture"):
        server_files(linear_model(tmp_path, 1.0), python="3.13", architecture="mips")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheelhouse:
    house = Wheelhouse(tmp_path / "wheels")
    house.wheel("numpy", "2.3.0", {"numpy/__init__.py": ""})
    for name in ("httptools", "msgspec", "orjson", "uvloop"):
        house.wheel(name, "9.9", {f"{name}/__init__.py": ""})
    monkeypatch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    for name, value in house.env().items():
        monkeypatch.setenv(name, value)
    return house


def test_the_files_are_server_model_and_wheels(house: Wheelhouse, tmp_path: Path) -> None:
    files = server_files(linear_model(tmp_path, 1.0), python="3.13", architecture="x86_64")
    names = {member.name for member in files.members}
    assert {
        "app/requirements.lock",
        "app/clouddeploy/__init__.py",
        "app/clouddeploy/server/container.py",
        "app/clouddeploy/server/dashboard/page.html",
        "app/numpy/__init__.py",
        "app/uvloop/__init__.py",
        "model/clouddeploy.json",
    } <= names
    assert not [name for name in names if name.startswith("app/clouddeploy/providers")]
    assert files.lock == ("httptools==9.9", "msgspec==9.9", "numpy==2.3.0", "orjson==9.9", "uvloop==9.9")
    again = server_files(linear_model(tmp_path, 1.0), python="3.13", architecture="x86_64")
    assert files.members == again.members


def test_wheels_that_take_a_name_of_ours_are_refused(house: Wheelhouse, tmp_path: Path) -> None:
    house.wheel("numpy", "2.4.0", {"numpy/__init__.py": "", "clouddeploy/x.py": ""})
    with pytest.raises(ModelError, match="clouddeploy"):
        server_files(linear_model(tmp_path, 1.0), python="3.13", architecture="x86_64")


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
    files = server_files(model, python="3.13", architecture="x86_64", form=form)
    assert "torch==2.13.0" in files.lock
    assert "app/torch/__init__.py" in {member.name for member in files.members}


def test_a_model_of_torchs_is_served_by_the_version_that_wrote_it(house: Wheelhouse, tmp_path: Path) -> None:
    for version in ("2.13.0", "99.0"):
        house.wheel("torch", version, {"torch/__init__.py": ""})
    (tmp_path / "net.pt").write_bytes(b"PK")
    (tmp_path / "handler.py").write_text("def predict(inputs):\n    return inputs\n")
    model = Model.from_folder(tmp_path, handler=tmp_path / "handler.py", check=False)
    exported = replace(model, format="torch-export", framework=("torch", "2.13.0+cpu"))
    files = server_files(exported, python="3.13", architecture="x86_64", form="torch")
    assert "torch==2.13.0" in files.lock
