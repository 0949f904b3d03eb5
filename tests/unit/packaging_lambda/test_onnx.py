"""`Model.to("onnx")`: the same answers as torch's, or an error that says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from clouddeploy.errors import HandlerError, ModelError
from clouddeploy.model import Model
from clouddeploy.packaging.aws_lambda import lambda_artifact
from clouddeploy.testing.wheelhouse import Wheelhouse

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

NETS = """
import torch
from torch import nn
from torch.nn import functional


class Sizes(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(12), nn.Linear(12, 5)

    def forward(self, x):
        scores = torch.zeros(x.shape[0], 5) + self.linear(self.norm(x.view(x.size(0), -1)))
        rows = torch.arange(x.shape[0])[:, None].expand(x.shape[0], 3)
        return scores.reshape(x.shape[0], 5, 1), rows.float()


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    def forward(self, ids):
        return self.layer(self.table(ids)).mean(1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0][:, -1]


class Picture(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.GELU(), nn.LayerNorm(8),
        )

    def forward(self, x):
        return functional.softmax(self.layers(functional.interpolate(x, scale_factor=2.0)), dim=1)


class Named(nn.Module):
    def forward(self, a, b):
        return {"sum": a + b, "top": a.argmax(1)}


class Mapped(nn.Module):
    def forward(self, batch):
        return batch["a"] * 2, batch["b"]


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x)


class Branching(Line):
    def forward(self, x):
        y = self.linear(x)
        return y if y.sum() > 0 else y + 1


class Inverse(nn.Module):
    def forward(self, x):
        return torch.linalg.inv(x + 3 * torch.eye(3))


class Noisy(Line):
    def forward(self, x):
        return self.linear(x) + torch.rand(x.shape[0], 3)
"""
TOUCHED = """
from clouddeploy.runtime import load_model


class Handler:
    def load(self, model_dir):
        self.net = load_model(model_dir)

    def predict(self, x):
        return self.net(x) * 2
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The networks above, imported from a file of their own."""
    import importlib

    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "nets_for_onnx.py").write_text(NETS)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "nets_for_onnx", raising=False)
    torch.manual_seed(0)
    return importlib.import_module("nets_for_onnx")


def example(name: str) -> object:
    """A batch of two that the network `name` takes."""
    random = torch.Generator().manual_seed(1)
    shapes = {"Sizes": (2, 3, 4), "Recurrent": (2, 5, 6), "Picture": (2, 3, 8, 8), "Inverse": (2, 3, 3)}
    if name == "Words":
        return torch.randint(0, 50, (2, 7), generator=random)
    if name in ("Named", "Mapped"):
        return {key: torch.rand(2, 3, generator=random) for key in "ab"}
    return torch.rand(shapes.get(name, (2, 4)), generator=random)


def made(nets: ModuleType, name: str, **more: object) -> Model:
    """The network `name` as a model, unchecked."""
    return Model.from_torch(getattr(nets, name)().eval(), example_input=example(name), check=False, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["Sizes", "Words", "Recurrent", "Picture", "Named", "Mapped"])
def test_the_onnx_form_answers_as_torch_does_at_any_batch_size(nets: ModuleType, name: str) -> None:
    model = made(nets, name)
    onnx = model.to("onnx")
    assert onnx.format == "onnx"
    assert onnx.signature == model.signature
    given = example(name)
    batch = (
        {key: np.repeat(value.numpy(), 3, axis=0) for key, value in given.items()}
        if isinstance(given, dict)
        else np.repeat(given.numpy(), 3, axis=0)  # type: ignore[attr-defined]
    )
    want, got = model.load()(batch), onnx.load()(batch)
    if not isinstance(want, dict):
        want, got = {"": want}, {"": got}
    assert want.keys() == got.keys()
    for key, value in want.items():
        np.testing.assert_allclose(got[key], value, atol=1e-5)


def test_the_notes_tell_opset_difference_and_tolerance(nets: ModuleType) -> None:
    onnx = made(nets, "Line").to("onnx", opset=17, tolerance=1e-3)
    assert onnx.manifest()["opset"] == onnx.opset == 17
    assert "ONNX (opset 17) equals torch within" in onnx.notes[-1]
    assert "batch sizes 1, 3, 8 (allowed: 0.001 of 1 + the value)" in onnx.notes[-1]


def test_a_free_dimension_stays_free(nets: ModuleType) -> None:
    onnx = made(nets, "Words", free_dims={"ids": [1]}).to("onnx")
    assert onnx.load()(np.ones((2, 11), dtype=np.int64)).shape == (2, 16)


@pytest.mark.parametrize("form", ["export", "state_dict"])
def test_handler_and_requirements_are_kept_and_torch_is_not(
    nets: ModuleType, tmp_path: Path, form: str
) -> None:
    (tmp_path / "handler.py").write_text(TOUCHED)
    handler = tmp_path / "handler.py"
    model = made(nets, "Line", handler=handler, requirements=["torch>=2", "tiny>=1"], format=form)
    onnx = model.to("onnx")
    assert onnx.handler == "handler.py"
    assert onnx.requirements == ("onnxruntime<2,>=1.20", "tiny>=1")
    x = np.ones((5, 4), dtype=np.float32)
    np.testing.assert_allclose(onnx.load()(x), model.load()(x), atol=1e-6)


def test_a_torchscript_file_is_converted_with_its_example(nets: ModuleType, tmp_path: Path) -> None:
    net = nets.Branching().eval()
    torch.jit.script(net).save(str(tmp_path / "net.pt"))
    model = Model.from_file(tmp_path / "net.pt", example_input=np.ones((2, 4), dtype=np.float32), check=False)
    onnx = model.to("onnx")
    for x in (np.full((2, 4), 9, dtype=np.float32), np.full((2, 4), -9, dtype=np.float32)):
        np.testing.assert_allclose(onnx.load()(x), net(torch.from_numpy(x)).detach().numpy(), atol=1e-5)


def test_what_is_onnx_already_is_itself_and_a_conversion_is_made_once(nets: ModuleType) -> None:
    model = made(nets, "Line")
    onnx = model.to("onnx")
    assert onnx.to("onnx") is onnx
    assert model.to("onnx") is onnx


def test_the_digest_is_the_same_in_other_processes(nets: ModuleType, tmp_path: Path) -> None:
    code = (
        "import sys, torch; sys.path.insert(0, sys.argv[1]); import nets_for_onnx\n"
        "from clouddeploy import Model\n"
        "torch.manual_seed(0); net = nets_for_onnx.Picture().eval()\n"
        "model = Model.from_torch(net, example_input=torch.ones(2, 3, 8, 8), check=False)\n"
        "print(model.to('onnx').digest)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "project")],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_an_operator_that_onnx_lacks_is_named_and_an_image_is_offered(
    nets: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=r"operator aten::linalg_inv can't be expressed") as caught:
        made(nets, "Inverse").to("onnx")
    assert 'Deployer("lambda", package="image"' in caught.value.fix


def test_a_branch_on_the_data_is_refused_and_not_made_a_constant(
    nets: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=r"depends on the data \(nets_for_onnx\.py, line \d+\)"):
        made(nets, "Branching").to("onnx")
    assert capfd.readouterr().out == ""


def test_a_random_model_is_found_to_answer_differently(nets: ModuleType) -> None:
    with pytest.raises(ModelError, match="answers differently from torch: output"):
        made(nets, "Noisy", format="state_dict").to("onnx")


def test_weights_whose_handler_loads_them_are_not_converted(nets: ModuleType, tmp_path: Path) -> None:
    torch.save(nets.Line().state_dict(), tmp_path / "weights.pt")
    (tmp_path / "handler.py").write_text(TOUCHED)
    model = Model.from_file(tmp_path / "weights.pt", handler=tmp_path / "handler.py", check=False)
    with pytest.raises(ModelError, match="whose handler loads it by itself"):
        model.to("onnx")


@pytest.mark.parametrize("opset", [9, 99])
def test_an_opset_that_cant_be_written_is_refused(nets: ModuleType, opset: int) -> None:
    with pytest.raises(ModelError, match=f"opset is {opset}"):
        made(nets, "Line").to("onnx", opset=opset)


def test_a_handler_that_fails_with_the_onnx_form_is_told(nets: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text(TOUCHED.replace("* 2", "* missing"))
    with pytest.raises(HandlerError, match=r"handler\.py failed at predict"):
        made(nets, "Line", handler=tmp_path / "handler.py").to("onnx")


def test_a_torch_model_is_packed_for_lambda_as_onnx(numpy_like: Wheelhouse, nets: ModuleType) -> None:
    numpy_like.wheel("onnxruntime", "1.32", {"onnxruntime/__init__.py": ""}, requires=["numpy"])
    artifact = lambda_artifact(made(nets, "Line"), python="3.13", architecture="arm64")
    assert artifact.lock == ("numpy==2.0", "onnxruntime==1.32")
    assert artifact.model.format == "onnx"
    assert "model/model.onnx" in {member.name for member in artifact.members}
