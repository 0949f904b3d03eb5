from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from clouddeploy.errors import HandlerError, ModelError
from clouddeploy.model import Model, Tensor

torch = pytest.importorskip("torch")
X = torch.arange(8.0).reshape(2, 4)


def quick(module: Any, **options: Any) -> Model:
    return Model.from_torch(module, **{"example_input": X, "check": False, **options})


def test_a_network_is_exported_and_answers_as_it_did(nets: ModuleType) -> None:
    net = nets.Net()
    model = Model.from_torch(net, example_input=X)
    batch = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
    with torch.inference_mode():
        expected = net.eval()(torch.from_numpy(batch)).numpy()
    assert model.format == "torch-export"
    assert model.code == ()
    assert model.framework == ("torch", torch.__version__.partition("+")[0])
    assert np.array_equal(model.load()(batch), expected)
    assert "bit for bit" in model.notes[0]
    assert model.signature is not None
    assert model.signature.inputs == (Tensor("x", "float32", (None, 4)),)
    assert model.signature.outputs == (Tensor("output", "float32", (None, 3)),)


def test_the_module_is_left_in_the_mode_it_was_in(nets: ModuleType) -> None:
    net = nets.Net()
    net.train()
    net.linear.eval()
    quick(net)
    assert net.training
    assert net.dropout.training
    assert not net.linear.training


def test_several_inputs_and_named_outputs_keep_their_names(nets: ModuleType) -> None:
    net = nets.Named()
    named = {"a": X.numpy(), "b": X.numpy() + 1}
    for example in ((X, X), {"b": X, "a": X}):
        model = quick(net, example_input=example)
        assert model.signature is not None
        assert {tensor.name for tensor in model.signature.inputs} == {"a", "b"}
        assert [tensor.name for tensor in model.signature.outputs] == ["sum", "top"]
        found = model.load()(named)
        assert np.array_equal(found["top"], net.linear(X).argmax(1).numpy())


def test_a_dict_that_is_one_argument_stays_one(nets: ModuleType) -> None:
    model = quick(nets.Mapped(), example_input={"a": X, "b": X})
    found = model.load()({"a": X.numpy(), "b": X.numpy()})
    assert model.call == "mapping"
    assert np.array_equal(found["output_1"], X.numpy())


def test_further_dimensions_can_be_left_free(nets: ModuleType) -> None:
    tokens = torch.arange(12).reshape(2, 6)
    model = quick(nets.Words(), example_input=tokens, free_dims={"tokens": [1]})
    assert model.signature is not None
    assert model.signature.inputs == (Tensor("tokens", "int64", (None, None)),)
    assert [tensor.shape for tensor in model.signature.outputs] == [(None, None), (None,)]
    assert model.load()(np.ones((1, 9), np.int64))["output_1"].tolist() == [9]
    with pytest.raises(ModelError, match="free_dims"):
        quick(nets.Words(), example_input=tokens, free_dims={"tokens": [2]})


def test_what_cannot_be_exported_is_saved_as_weights_and_source(nets: ModuleType) -> None:
    net = nets.Branching()
    model = Model.from_torch(net, example_input=X)
    assert model.format == "torch-state-dict"
    assert [file.name for file in model.code] == ["layers_for_tests.py", "nets_for_tests.py"]
    assert model.source == {"module": "nets_for_tests", "class": "Branching", "init": {}}
    assert "torch.export can't express it" in model.notes[0]
    assert np.array_equal(model.load()(X.numpy()), net(X).detach().numpy())
    torch.load(model.files[0].path, weights_only=True)


def test_export_alone_refuses_what_it_cannot_express(nets: ModuleType) -> None:
    with pytest.raises(ModelError, match=r"torch\.export can't express Branching") as caught:
        quick(nets.Branching(), format="export")
    assert "state_dict" in caught.value.fix


def test_constructor_arguments_are_recorded_and_demanded(nets: ModuleType) -> None:
    net = nets.NeedsWidth(4)
    with pytest.raises(ModelError, match="can't be made with no arguments") as caught:
        quick(net)
    assert "init={" in caught.value.fix
    model = Model.from_torch(net, example_input=X, init={"width": 4})
    assert model.manifest()["source"]["init"] == {"width": 4}
    with pytest.raises(ModelError, match="can't be made with"):
        quick(net, init={"height": 4})
    with pytest.raises(ModelError, match="must be JSON"):
        quick(net, init={"width": X})


def test_constructor_arguments_that_do_not_fit_the_weights_fail_the_check(nets: ModuleType) -> None:
    with pytest.raises(ModelError, match="does not fit NeedsWidth"):
        Model.from_torch(nets.NeedsWidth(4), example_input=X, init={"width": 5})


def test_a_class_from_a_notebook_is_refused_with_the_way_out() -> None:
    scope: dict[str, Any] = {"torch": torch, "__name__": "__main__"}
    source = (
        "class Cell(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x if x.sum() > 0 else x + 1\n"
    )
    exec(compile(source, "<ipython-input-1>", "exec"), scope)
    with pytest.raises(ModelError, match="not in a file") as caught:
        quick(scope["Cell"]())
    assert "net.py" in caught.value.fix


def test_a_class_in_a_function_is_refused_or_pickled_when_that_is_allowed() -> None:
    class Local(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else x + 1

    with pytest.raises(ModelError, match="can't be imported"):
        quick(Local())


def test_a_pickle_is_made_only_when_allowed(nets: ModuleType) -> None:
    with pytest.raises(ModelError, match="can't be made"):
        quick(nets.NeedsWidth(4))
    model = quick(nets.NeedsWidth(4), allow_pickle=True)
    assert model.format == "pickle"
    assert model.manifest()["allow_pickle"] is True


@pytest.mark.parametrize(
    ("name", "words"),
    [("Random", "answers differently"), ("Scalar", "rows for 3 examples"), ("Texts", "can't be called")],
)
def test_a_module_that_no_endpoint_could_serve_is_refused(nets: ModuleType, name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        quick(getattr(nets, name)())


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (torch.zeros(2, 5), "can't be called"),
        (torch.tensor(1.0), "one number"),
        (torch.zeros(0, 4), "at least one"),
        ((X, X[:1]), r"\[1, 2\] examples"),
        (object(), "dtype object"),
        (np.zeros((2, 4), complex), "dtype complex128"),
    ],
)
def test_an_example_that_does_not_fit_is_refused(nets: ModuleType, example: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        quick(nets.Net(), example_input=example)


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(ModelError, match="takes a torch"):
        quick(lambda x: x)
    with pytest.raises(ModelError, match="TorchScript"):
        quick(torch.jit.script(torch.nn.Linear(4, 3)))
    with pytest.raises(ModelError, match="format is 'onnx'"):
        quick(torch.nn.Linear(4, 3), format="onnx")


def test_weights_with_nan_are_warned_about(nets: ModuleType) -> None:
    net = nets.Net()
    with torch.no_grad():
        net.linear.bias[0] = float("nan")
    with pytest.warns(UserWarning, match=r"linear\.bias hold NaN"):
        model = quick(net)
    assert "NaN" in model.notes[0]


def test_no_warning_without_a_reason(nets: ModuleType) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        quick(nets.Net())


def test_a_handler_around_the_exported_network_is_checked_and_served(
    nets: ModuleType, tmp_path: Path
) -> None:
    handler = tmp_path / "handler.py"
    handler.write_text(
        "from clouddeploy.runtime import load_model\n\n"
        "class Handler:\n"
        "    def load(self, model_dir): self.model = load_model(model_dir)\n"
        "    def preprocess(self, inputs): return inputs.astype('float32').reshape(len(inputs), 4)\n"
        "    def predict(self, inputs): return self.model(inputs)\n"
        "    def postprocess(self, outputs): return [f'class {row.argmax()}' for row in outputs]\n"
    )
    squares = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    model = Model.from_torch(nets.Net(), example_input=X, handler=handler, handler_input=squares)
    assert model.signature is not None
    assert model.signature.inputs == (Tensor("input", "uint8", (None, 2, 2)),)
    assert model.signature.outputs == ()
    assert str(model.load()(squares)[0]).startswith("class ")
    handler.write_text("def predict(x): return 1 / 0\n")
    with pytest.raises(HandlerError, match="ZeroDivisionError"):
        Model.from_torch(nets.Net(), example_input=X, handler=handler)


DIGEST = """
import sys, torch
sys.path.insert(0, sys.argv[1])
import nets_for_tests as nets
from clouddeploy.model import Model
for kind in (nets.Net, nets.Branching, nets.Named):
    torch.manual_seed(5)
    net = kind()
    torch.manual_seed(int(sys.argv[2]))
    x = torch.randn(int(sys.argv[2]), 4)
    example = {"a": x, "b": x} if kind is nets.Named else x
    model = Model.from_torch(net, example_input=example, check=False)
    print(model.digest, model.files[0].sha256)
"""


def test_the_same_network_gets_the_same_digest_in_another_process_and_place(
    nets: ModuleType, tmp_path: Path
) -> None:
    project = Path(nets.__file__ or "").parent
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in project.glob("*.py"):
        (moved / file.name).write_bytes(file.read_bytes())
    lines = [
        subprocess.run(
            [sys.executable, "-c", DIGEST, str(place), str(number)],
            env={**os.environ, "PYTHONHASHSEED": str(number)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for place, number in ((project, 2), (moved, 5))
    ]
    assert lines[0] == lines[1]
    assert len(set(lines[0])) == 3


SCRIPT = """
import torch
from clouddeploy.model import Model


class Net(torch.nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else x + 1


GUARD
    model = Model.from_torch(Net(), example_input=torch.ones(2, 4), timeout_s=60)
    print(model.source["module"], model.format)
"""


def test_a_class_in_the_script_itself_works_when_making_the_model_is_guarded(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    for guard, good in (("if __name__ == '__main__':", True), ("if True:", False)):
        script.write_text(SCRIPT.replace("GUARD", guard))
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        found = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True)
        assert (found.returncode == 0) is good
        assert ("train torch-state-dict" in found.stdout) is good
        assert ("__name__ == '__main__'" in found.stderr) is not good
