"""A torch model as a function: ONNX by itself, built by the embedded cloud's own means, and served."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from clouddeploy.emulator.google.plane.environments import environment_for
from clouddeploy.model import Model
from clouddeploy.packaging.cloud_functions import function_source
from clouddeploy.runtime import Service
from clouddeploy.testing.wheelhouse import Wheelhouse
from tests.unit.runtime_cloud_function.framework import Serving
from tests.unit.runtime_function.conftest import kept_path

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh())
    return Model.from_torch(net, example_input=torch.rand(2, 4), check=False)


def test_the_written_folder_is_what_functions_framework_runs(
    wheels: Wheelhouse, model: Model, tmp_path: Path
) -> None:
    wheels.wheel("onnxruntime", "1.31", {"onnxruntime.py": ""})
    source = function_source(model, python="3.13")
    assert source.model.format == "onnx"
    assert any("ONNX (opset" in note for note in source.model.notes)
    root = source.write_folder(tmp_path / "folder")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "requirements.txt").write_text("numpy\nonnxruntime\n")  # of this machine
    nobody = threading.Event()
    python = environment_for(tmp_path / "here", "", lambda severity, text: None, nobody) / "bin" / "python"
    with kept_path():
        expected = Service.load(root / "model", root).answer(b'{"inputs":[[1,2,3,4]]}')
    with Serving(root, python, tmp_path / "log") as serving:
        status, body, _ = serving.call(b'{"inputs":[[1,2,3,4]]}', content_type="application/json")
    assert (status, body) == (200, expected.body)
    assert len(json.loads(body)["predictions"][0]) == 3


def test_the_torch_form_keeps_the_model_and_pins_the_torch_that_wrote_it(
    wheels: Wheelhouse, model: Model
) -> None:
    version = str(torch.__version__).partition("+")[0]
    wheels.wheel("torch", version, {"torch/__init__.py": ""})
    wheels.wheel("torch", "99.0", {"torch/__init__.py": ""})
    source = function_source(model, python="3.13", form="torch")
    assert source.model is model
    assert f"torch=={version}" in source.lock
