from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy.errors import HandlerError, InputError, ModelError
from clouddeploy.model import File, Model

X = np.array([[1.0, 2.0]])


def made(folder: Path, **options: Any) -> Model:
    return Model.from_folder(folder, **{"handler": "handler.py", "check": False, **options})


def names(files: tuple[File, ...]) -> list[str]:
    return [file.name for file in files]


def test_a_folder_becomes_files_and_the_code_that_the_handler_imports(folder: Path) -> None:
    model = made(folder)
    assert names(model.files) == ["table.json"]
    assert names(model.code) == ["handler.py", "scaling.py", "shapes/__init__.py", "shapes/deep.py"]
    assert model.size == len("[[1.0], [2.0]]")
    assert repr(model) == f"Model(format='files', size=14, digest='{model.digest[:12]}')"


def test_the_model_answers_here_as_it_does_in_a_process_of_its_own(folder: Path) -> None:
    model = made(folder, example_input=X, check=True)
    checked = model.handler_check()
    assert checked is not None
    assert checked[""].tolist() == model.load()(X).tolist() == [[10.0]]
    assert "scaling" not in sys.modules


def test_the_digest_does_not_depend_on_place_dates_or_the_example(folder: Path, tmp_path: Path) -> None:
    first = made(folder, requirements=["numpy>=1", "scikit-learn==1.7"], example_input=X)
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "digits"))
    os.utime(copy / "table.json", (0, 0))
    second = made(copy, requirements=["scikit-learn == 1.7", "numpy >=1"], example_input=X * 7)
    assert first.digest == second.digest
    assert first.manifest() == second.manifest()
    assert first == second
    assert hash(first) == hash(second)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "table.json").write_text("[[1.0], [3.0]]"),
        lambda root: (root / "table.json").rename(root / "other.json"),
        lambda root: (root / "shapes" / "deep.py").write_text("FACTOR = 3\n"),
    ],
)
def test_the_digest_changes_with_any_content(folder: Path, change: Any) -> None:
    before = made(folder).digest
    change(folder)
    assert made(folder).digest != before


def test_the_digest_changes_with_requirements_and_signature(folder: Path) -> None:
    digests = {
        made(folder).digest,
        made(folder, requirements=["numpy"]).digest,
        made(folder, example_input=X).digest,
        made(folder, example_input=X.astype(np.float32)).digest,
    }
    assert len(digests) == 4


def test_the_manifest_is_json_and_holds_no_path_of_this_machine(folder: Path) -> None:
    text = json.dumps(made(folder, example_input=X).manifest())
    assert str(folder) not in text


def test_include_adds_what_imports_do_not_show(folder: Path) -> None:
    (folder / "names.txt").write_text("a")
    model = made(folder, include=["*.txt", "shapes"])
    assert "names.txt" in names(model.code)
    assert "names.txt" not in names(model.files)


@pytest.mark.parametrize("pattern", ["nothing*", "../secret", "/etc/passwd"])
def test_include_that_finds_nothing_or_leaves_the_folder_is_refused(folder: Path, pattern: str) -> None:
    with pytest.raises(ModelError, match="include"):
        made(folder, include=[pattern])


def test_a_link_that_leads_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match="leads out"):
        made(folder)


@pytest.mark.parametrize("name", ["code", "clouddeploy.json"])
def test_names_of_the_archive_itself_are_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("x")
    with pytest.raises(ModelError, match="can't be part"):
        made(folder)


def test_a_module_named_as_ours_is_refused(folder: Path) -> None:
    (folder / "clouddeploy.py").write_text("")
    (folder / "handler.py").write_text("import clouddeploy\ndef predict(x): return x\n")
    with pytest.raises(HandlerError, match="can't be packed"):
        made(folder)


@pytest.mark.parametrize("handler", ["missing.py", "."])
def test_a_handler_that_is_not_there_is_refused(folder: Path, handler: str) -> None:
    with pytest.raises(HandlerError, match="is not there"):
        made(folder, handler=handler)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not there"):
        made(tmp_path / "nowhere")


def test_a_syntax_error_in_a_module_beside_is_told_with_its_line(folder: Path) -> None:
    (folder / "scaling.py").write_text("x = 1\ndef (:\n")
    with pytest.raises(HandlerError, match=r"scaling\.py is no valid Python, line 2"):
        made(folder)


@pytest.mark.parametrize("line", ["not a requirement!", "numpy>>1", ""])
def test_a_requirement_that_cannot_be_read_is_refused(folder: Path, line: str) -> None:
    with pytest.raises(ModelError, match="requirement"):
        made(folder, requirements=[line])


@pytest.mark.parametrize(
    ("source", "phase", "words"),
    [
        ("raise RuntimeError('at import')\n", "import", "at import"),
        ("import no_such_package_here\n", "import", "no_such_package_here"),
        ("value = 1\n", "import", "no function predict"),
        ("def load(d): raise RuntimeError('at load')\ndef predict(x): return x\n", "load", "at load"),
        ("def predict(x): raise RuntimeError('at predict')\n", "predict", "at predict"),
        ("def predict(x): return x[:0]\n", "predict", "0 rows for 1 examples"),
        ("def predict(x): raise SystemExit(0)\n", "predict", "SystemExit"),
        ("import os\ndef predict(x): os._exit(0)\n", "predict", "ended its process"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "import", "signal 11"),
    ],
)
def test_a_handler_that_fails_is_told_with_its_phase(
    folder: Path, source: str, phase: str, words: str
) -> None:
    (folder / "handler.py").write_text("print('chatter')\n" + source)
    with pytest.raises(HandlerError) as caught:
        made(folder, example_input=X, check=True)
    assert f" at {phase}" in caught.value.what
    assert words in str(caught.value)


def test_the_last_lines_of_the_trace_are_told(folder: Path) -> None:
    (folder / "handler.py").write_text("def predict(x):\n    return broken_line(x)\n")
    with pytest.raises(HandlerError) as caught:
        made(folder, example_input=X, check=True)
    assert "return broken_line(x)" in caught.value.why
    assert "NameError" in caught.value.why


@pytest.mark.parametrize(
    ("source", "phase"),
    [
        ("import time\ntime.sleep(600)\n", "import"),
        ("import time\ndef load(d): time.sleep(600)\ndef predict(x): return x\n", "load"),
        ("import time\ndef predict(x): time.sleep(600)\n", "predict"),
    ],
)
def test_a_handler_that_hangs_is_ended(folder: Path, source: str, phase: str) -> None:
    (folder / "handler.py").write_text(source)
    with pytest.raises(HandlerError, match=f"did not finish {phase} within"):
        made(folder, example_input=X, check=True, timeout_s=1.5)


def test_children_of_a_handler_that_hangs_are_ended_too(folder: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    (folder / "handler.py").write_text(
        "import subprocess, time\n"
        f"child = subprocess.Popen(['sleep', '600'])\nopen({str(note)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(HandlerError, match="did not finish import"):
        made(folder, check=True, timeout_s=1.5)
    deadline = time.monotonic() + 10  # it was told to end; that takes the kernel a moment
    while (alive := _lives(int(note.read_text()))) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_handler_check_does_not_see_the_project_beside(folder: Path) -> None:
    (folder / "handler.py").write_text(
        "import importlib\nbeside = importlib.import_module('scal' + 'ing')\ndef predict(x): return x\n"
    )
    with pytest.raises(HandlerError, match="No module named 'scaling'"):
        made(folder, check=True)


def test_a_model_can_be_changed_only_by_making_another(folder: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        made(folder).handler = "other.py"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["../up", "/etc/x", "", "a\\b"])
def test_a_file_name_that_leaves_the_folder_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ModelError, match="can't be used"):
        File.read(name, folder / "table.json")


def test_importing_the_models_loads_nothing_heavy() -> None:
    code = "import sys, clouddeploy.model; print(sorted({'numpy', 'torch', 'onnx'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_what_does_not_fit_the_loaded_model_is_an_input_error(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        made(folder, example_input=X).load()(np.zeros((1, 3)))
    assert (caught.value.code, caught.value.status) == ("bad_shape", 400)


def test_predictions_that_could_not_be_sent_are_a_handler_error(folder: Path) -> None:
    (folder / "handler.py").write_text("def predict(x): return x[:0]\n")
    with pytest.raises(HandlerError, match="0 rows for 1 examples"):
        made(folder).load()(X)
