"""What is left out of installed wheels, and that what is left still works."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from clouddeploy.packaging import wheels
from clouddeploy.packaging.platforms import Platform
from clouddeploy.testing.wheelhouse import Wheelhouse

ARM = Platform.of_lambda("3.13", "arm64")
HERE = Platform("{}.{}".format(*sys.version_info[:2]), "x86_64", "2_34")

RUN = """
import json, sys
sys.path[:] = [sys.argv[1], *(p for p in sys.path if "site-packages" not in p)]
import numpy, onnxruntime
from importlib import metadata
session = onnxruntime.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
(found,) = session.run(None, {"x": numpy.arange(3, dtype=numpy.float32)})
print(json.dumps({
    "answer": found.tolist(),
    "places": [numpy.__file__, onnxruntime.__file__],
    "versions": [metadata.version("numpy"), metadata.version("onnxruntime")],
    "entry": [e.name for e in metadata.entry_points(group="numpy_test")],
    "linalg": numpy.linalg.norm(numpy.random.default_rng(0).random(4)) > 0 and numpy.fft.fft([1, 2]).size,
    "files": all(f.locate().exists() for f in metadata.files("numpy")),
}, default=str))
"""


def names(house: Wheelhouse, files: Mapping[str, str], **more: object) -> set[str]:
    """What of a wheel with `files` is packed."""
    house.wheel("pack", "1.0", files, **more)  # type: ignore[arg-type]
    tree = wheels.installed(("pack==1.0",), ARM)
    on_disk = {p.relative_to(tree.folder).as_posix() for p in tree.folder.rglob("*") if p.is_file()}
    found = {member.name for member in tree.members}
    assert on_disk - found == {".clouddeploy-tree.json"}
    return {name for name in found if ".dist-info" not in name}


def test_tests_stubs_headers_and_static_libraries_are_left_out(house: Wheelhouse) -> None:
    found = names(
        house,
        {
            "pack/__init__.py": "",
            "pack/__init__.pyi": "",
            "pack/py.typed": "",
            "pack/core.h": "",
            "pack/core.pxd": "",
            "pack/lib/libcore.a": "",
            "pack/tests/__init__.py": "",
            "pack/tests/data/big.bin": "",
            "pack/deep/tests/test_deep.py": "import pack.tests\n",
            "pack/deep/data.json": "{}",
            "tests/test_top.py": "",
        },
    )
    assert found == {"pack/__init__.py", "pack/py.typed", "pack/deep/data.json"}


@pytest.mark.parametrize(
    "line",
    [
        "from .tests.runner import run",
        "from pack.tests import runner",
        "import pack.tests.runner",
        "from . import tests",
        "from pack import io, tests",
    ],
)
def test_tests_that_the_package_itself_imports_stay(house: Wheelhouse, line: str) -> None:
    found = names(
        house,
        {
            "pack/__init__.py": f"{line}\n",
            "pack/tests/runner.py": "",
            "pack/other/tests/test_other.py": "",
        },
    )
    assert found == {"pack/__init__.py", "pack/tests/runner.py"}


def test_scripts_of_this_machine_are_left_out(house: Wheelhouse) -> None:
    files = {
        "pack.py": "def main(): ...\n",
        "pack-1.0.dist-info/entry_points.txt": "[console_scripts]\np = pack:main\n",
    }
    assert names(house, files) == {"pack.py"}


def test_the_metadata_that_programs_read_stays_and_the_installers_own_goes(house: Wheelhouse) -> None:
    files = {
        "pack/__init__.py": "",
        "pack/tests/test_pack.py": "",
        "pack-1.0.dist-info/entry_points.txt": "[plug]\np = pack\n",
        "pack-1.0.dist-info/licenses/LICENSE": "free",
    }
    names(house, files)
    tree = wheels.installed(("pack==1.0",), ARM)
    inside = {m.name.partition("/")[2] for m in tree.members if ".dist-info/" in m.name}
    assert inside == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    (found,) = importlib.metadata.distributions(path=[str(tree.folder)])
    assert found.version == "1.0"
    assert [e.name for e in found.entry_points] == ["p"]
    assert all(file.locate().exists() for file in found.files or ())  # type: ignore[attr-defined]


@pytest.mark.parametrize("with_onnx", [False, True])
def test_onnxruntimes_tools_stay_only_where_onnx_is_there_to_use_them(
    house: Wheelhouse, with_onnx: bool
) -> None:
    files = {
        "onnxruntime/__init__.py": "",
        "onnxruntime/tools/a.py": "",
        "onnxruntime/transformers/b.py": "",
    }
    house.wheel("onnx", "1", {"onnx/__init__.py": ""})
    house.wheel("onnxruntime", "1", files)
    lock = ("onnx==1", "onnxruntime==1") if with_onnx else ("onnxruntime==1",)
    found = {member.name for member in wheels.installed(lock, ARM).members}
    assert ("onnxruntime/tools/a.py" in found) is with_onnx
    assert ("onnxruntime/transformers/b.py" in found) is with_onnx


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
@pytest.mark.skipif(importlib.util.find_spec("onnx") is None, reason="onnx is not installed")
def test_trimmed_numpy_and_onnxruntime_run_a_session_from_nothing_but_the_tree(
    house: Wheelhouse, tmp_path: Path
) -> None:
    from onnx import TensorProto, helper

    for name in ("numpy", "onnxruntime", "flatbuffers", "packaging", "protobuf"):
        house.repack(name)
    tree = wheels.installed(wheels.resolve(["onnxruntime", "numpy"], HERE), HERE)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    (tmp_path / "neg.onnx").write_bytes(model.SerializeToString())
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", RUN, str(tree.folder), str(tmp_path / "neg.onnx")],
        capture_output=True,
        text=True,
        check=False,
        env={},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["answer"] == [-0.0, -1.0, -2.0]
    assert all(place.startswith(str(tree.folder)) for place in told["places"])
    assert told["versions"] == [importlib.metadata.version(name) for name in ("numpy", "onnxruntime")]
    assert told["files"] is True
    installed_here = importlib.metadata.distribution("numpy").files or ()
    tests = [file for file in installed_here if "tests" in file.parts]
    assert tests
    assert not any("tests" in member.name.split("/") for member in tree.members)
