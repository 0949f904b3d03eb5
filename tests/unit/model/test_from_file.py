from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from clouddeploy.errors import HandlerError, ModelError, UnsafeModel
from clouddeploy.model import Model, Tensor
from clouddeploy.model.inspection import inspect_file

torch = pytest.importorskip("torch")
X = torch.arange(8.0).reshape(2, 4)


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.path, "executed"))


def source_of(nets: ModuleType, name: str = "Net") -> str:
    return f"{nets.__file__}:{name}"


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_with_the_source_of_their_class(nets: ModuleType, tmp_path: Path, legacy: bool) -> None:
    net = nets.Net().eval()
    path = tmp_path / "weights.pt"
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    model = Model.from_file(path, source=source_of(nets), example_input=X)
    assert model.format == "torch-state-dict"
    assert model.signature is not None
    assert model.signature.outputs == (Tensor("output", "float32", (None, 3)),)
    assert np.array_equal(model.load()(X.numpy()), net(X).detach().numpy())


def test_weights_without_a_class_or_a_handler_are_refused(nets: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(nets.Net().state_dict(), path)
    with pytest.raises(ModelError, match="without a program") as caught:
        Model.from_file(path)
    assert "net.py:Net" in caught.value.fix


@pytest.mark.parametrize("source", ["net.py", "nets:Net", ":Net"])
def test_a_source_written_in_another_way_is_refused(tmp_path: Path, source: str) -> None:
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="source is"):
        Model.from_file(tmp_path / "w.pt", source=source)


def test_a_class_that_does_not_fit_the_weights_is_told(nets: ModuleType, tmp_path: Path) -> None:
    torch.save(nets.Net(9).state_dict(), tmp_path / "w.pt")
    with pytest.raises(HandlerError, match="does not fit Net"):
        Model.from_file(tmp_path / "w.pt", source=source_of(nets), example_input=X)
    with pytest.raises(ModelError, match="no class Nett"):
        Model.from_file(tmp_path / "w.pt", source=source_of(nets, "Nett"))


def test_a_checkpoint_with_more_than_weights_is_told_how_to_save(nets: ModuleType, tmp_path: Path) -> None:
    torch.save({"state_dict": nets.Net().state_dict(), "epoch": 3}, tmp_path / "c.ckpt")
    with pytest.raises(ModelError, match="more than weights") as caught:
        Model.from_file(tmp_path / "c.ckpt", source=source_of(nets))
    assert "'state_dict'" in caught.value.fix


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_module_is_refused_without_being_loaded(
    nets: ModuleType, tmp_path: Path, legacy: bool
) -> None:
    path = tmp_path / "model.pt"
    net = nets.Net()
    net.extra = Trap(tmp_path / "proof")
    torch.save(net, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafeModel, match="would execute code") as caught:
        Model.from_file(path)
    assert "allow_pickle=True" in caught.value.fix
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_plain_pickle_is_refused_without_being_loaded(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(pickle.dumps({"x": Trap(tmp_path / "proof")}, protocol=protocol))
    with pytest.raises(UnsafeModel):
        Model.from_file(path)
    assert not (tmp_path / "proof").exists()


def test_a_pickled_module_is_taken_when_that_is_allowed(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 3)).eval()
    torch.save(net, tmp_path / "model.pt")
    model = Model.from_file(tmp_path / "model.pt", example_input=X, allow_pickle=True)
    assert model.format == "pickle"
    assert np.array_equal(model.load()(X.numpy()), net(X).detach().numpy())


def exported(path: Path, **options: Any) -> Path:
    shapes = options or {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    torch.export.save(torch.export.export(torch.nn.Linear(4, 3).eval(), (X,), **shapes), path)
    return path


def test_an_exported_program_tells_its_own_inputs(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.pt2")
    model = Model.from_file(path)
    assert model.format == "torch-export"
    assert model.signature is not None
    assert model.signature.inputs == (Tensor("input", "float32", (None, 4)),)
    assert model.load()(X.numpy()).shape == (2, 3)
    assert model.framework == ("torch", torch.__version__.partition("+")[0])
    described = Model.from_file(path, example_input=X)
    assert described.signature is not None
    assert described.signature.outputs == (Tensor("output", "float32", (None, 3)),)


def test_an_exported_program_with_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fixed batch of 2"):
        Model.from_file(exported(tmp_path / "net.pt2", dynamic_shapes=None))


def changed(path: Path, change: Any) -> None:
    """Rewrite a zip: `change` gets each member's name and bytes, and gives the new bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))


def torch_zip(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("form", [torch_zip, pickle.dumps, lambda value: pickle.dumps(value, protocol=0)])
def test_a_program_with_a_pickle_among_its_weights_is_refused_unloaded(tmp_path: Path, form: Any) -> None:
    path = exported(tmp_path / "net.pt2")
    trap = form(Trap(tmp_path / "proof"))

    def change(name: str, data: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            return data.replace(b'"use_pickle": false', b'"use_pickle": true')
        return trap if name.endswith("weight_0") else data

    changed(path, change)
    with pytest.raises(UnsafeModel):
        Model.from_file(path)
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"torch.ops.aten.linear.default", b"torch.os.system"),
        (b"torch.ops.aten.linear.default", b"torch.ops.load_library"),
        (b'"guards_code": []', b"\"guards_code\": [\"__import__('os').system('id')\"]"),
        (b'"guards_code": []', b'"guards_code": ["True or eval(\'1\')"]'),
        (b'"guards_code": []', b'"guards_code": ["x\\nimport os"]'),
        (b'"expr_str": "', b'"expr_str": "exit() + '),
        (b'"expr_str": "', b'"expr_str": "().__class__ + '),
    ],
)
def test_a_program_that_would_run_something_else_is_refused_unloaded(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    path = exported(tmp_path / "net.pt2")
    changed(path, lambda name, data: data.replace(before, after) if "/models/" in name else data)
    with pytest.raises(UnsafeModel, match="would execute code"):
        Model.from_file(path)


@pytest.mark.parametrize("name", ["Net", "Named", "Words"])
def test_the_programs_that_we_write_are_data_only(nets: ModuleType, name: str) -> None:
    example: Any = {"Named": (X, X), "Words": X.long()}.get(name, X)
    free = {"tokens": [1]} if name == "Words" else {}
    model = Model.from_torch(getattr(nets, name)(), example_input=example, free_dims=free, check=False)
    assert inspect_file(model.files[0].path).executes == ()
    assert Model.from_file(model.files[0].path, check=False).signature is not None


def test_a_program_with_a_compiled_library_is_refused(tmp_path: Path) -> None:
    path = exported(tmp_path / "net.pt2")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/data/aotinductor/model/x.so", b"elf")
    with pytest.raises(UnsafeModel, match="aotinductor"):
        Model.from_file(path)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.zeros(1)}, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("w/data.pkl", b"x")
    with pytest.raises(ModelError, match="one name"):
        Model.from_file(path, source=f"{__file__}:Trap")


def test_torchscript_needs_no_source(tmp_path: Path) -> None:
    net = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval())
    torch.jit.save(net, tmp_path / "net.pt")
    model = Model.from_file(tmp_path / "net.pt", example_input=X)
    assert model.format == "torchscript"
    assert np.array_equal(model.load()(X.numpy()), net(X).detach().numpy())


def test_safetensors_with_the_source_of_their_class(nets: ModuleType, tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    net = nets.Net().eval()
    save_file(net.state_dict(), tmp_path / "net.safetensors", metadata={"format": "pt"})
    model = Model.from_file(tmp_path / "net.safetensors", source=source_of(nets), example_input=X)
    assert model.format == "safetensors"
    assert model.requirements == ()
    assert np.array_equal(model.load()(X.numpy()), net(X).detach().numpy())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "int64", "uint8", "bool"])
def test_safetensors_of_every_dtype_are_read_as_the_library_reads_them(tmp_path: Path, dtype: str) -> None:
    library = pytest.importorskip("safetensors.torch")
    from clouddeploy.runtime.loaders.safetensors_file import read

    tensors = {"a": torch.tensor([[0, 1], [1, 0]]).to(getattr(torch, dtype)), "empty": torch.zeros(0, 3)}
    library.save_file(tensors, tmp_path / "t.safetensors")
    found, expected = read(tmp_path / "t.safetensors"), library.load_file(tmp_path / "t.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def onnx_file(path: Path, batch: Any = "batch", *, external: bool = False) -> Path:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path, save_as_external_data=external, location="net.weights", size_threshold=0)
    return path


@pytest.mark.parametrize("external", [False, True])
def test_onnx_tells_its_own_signature_and_takes_its_data_file_along(tmp_path: Path, external: bool) -> None:
    model = Model.from_file(onnx_file(tmp_path / "net.onnx", external=external), example_input=X)
    assert model.format == "onnx"
    assert [file.name for file in model.files] == ["net.onnx", "net.weights"][: 1 + external]
    assert model.signature is not None
    assert model.signature.inputs == (Tensor("x", "float32", (None, 4)),)
    assert model.signature.outputs == (Tensor("y", "float32", (None, 3)),)
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert np.array_equal(model.load()(X.numpy()), X.numpy() @ weights)


def test_onnx_with_a_fixed_batch_or_without_its_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fixed batch"):
        Model.from_file(onnx_file(tmp_path / "fixed.onnx", 1))
    path = onnx_file(tmp_path / "net.onnx", external=True)
    (tmp_path / "net.weights").unlink()
    with pytest.raises(ModelError, match=r"net\.weights"):
        Model.from_file(path)


def whole_files(folder: Path) -> dict[str, Path]:
    save_file = pytest.importorskip("safetensors.torch").save_file
    linear = torch.nn.Linear(4, 300)
    torch.save(linear.state_dict(), folder / "zip.pt")
    torch.save(linear.state_dict(), folder / "legacy.pth", _use_new_zipfile_serialization=False)
    save_file(linear.state_dict(), folder / "net.safetensors")
    torch.jit.save(torch.jit.script(linear), folder / "script.pt")
    exported(folder / "program.pt2")
    onnx_file(folder / "net.onnx")
    return {path.name: path for path in folder.iterdir()}


NAMES = ["zip.pt", "legacy.pth", "net.safetensors", "script.pt", "program.pt2", "net.onnx"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_anywhere_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = whole_files(tmp_path)[name]
    data = path.read_bytes()
    for share in (0.999, 0.7, 0.3, 0.02):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ModelError, match=name.replace(".", r"\.")) as caught:
            Model.from_file(path, source=f"{__file__}:Trap", check=False)
        assert caught.value.why
        assert caught.value.fix


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content", [b"", b"hello, this is no model\n" * 40, b"\x00" * 100, b"PK\x03\x04" + b"x" * 100]
)
def test_an_empty_file_and_garbage_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        Model.from_file(path, source=f"{__file__}:Trap", check=False)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not there"):
        Model.from_file(tmp_path / "no.pt")


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match="none of torch"):
        Model.from_file(tmp_path / "a.pt")


def test_weights_for_a_handler_need_no_class(tmp_path: Path) -> None:
    torch.save({"state_dict": torch.nn.Linear(4, 3).state_dict(), "epoch": 3}, tmp_path / "c.pt")
    (tmp_path / "handler.py").write_text(
        "import torch\n\n"
        "def load(model_dir):\n    global net\n    net = torch.nn.Linear(4, 3)\n"
        "    net.load_state_dict(torch.load(model_dir / 'c.pt', weights_only=True)['state_dict'])\n\n"
        "def predict(inputs):\n    return net(torch.from_numpy(inputs)).detach()\n"
    )
    model = Model.from_file(tmp_path / "c.pt", handler=tmp_path / "handler.py", example_input=X)
    assert model.load()(X.numpy()).shape == (2, 3)


def test_the_inspection_names_what_a_pickle_would_import(nets: ModuleType, tmp_path: Path) -> None:
    torch.save(nets.Net(), tmp_path / "m.pt")
    assert "nets_for_tests.Net" in inspect_file(tmp_path / "m.pt").executes
    torch.save(
        {"a": torch.zeros(2).half(), "b": torch.nn.Parameter(torch.zeros(1)), "c": [1, "x"]},
        tmp_path / "d.pt",
    )
    assert inspect_file(tmp_path / "d.pt").executes == ()
