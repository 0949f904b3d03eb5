"""A model on this machine: laid out as in an artifact, loaded here, or checked in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import CloudDeployError, HandlerError, InputError, ModelError
from clouddeploy.model.scratch import Scratch

if TYPE_CHECKING:
    from clouddeploy.model.model import Model
    from clouddeploy.runtime.errors import WireError

_RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
_TRACE_LINES = 8
_INSIDE = "CLOUDDEPLOY_INSIDE_CHECK"
_BOOT = (
    "import sys, types; package = types.ModuleType('clouddeploy'); package.__path__ = [sys.argv[1]]; "
    "sys.modules['clouddeploy'] = package; from clouddeploy.runtime.check import main; "
    "sys.exit(main(*sys.argv[2:]))"
)


def lay_out(model: Model, folder: Path) -> Path:
    """Make `folder` look like the unpacked artifact: links to the weights, copies of the code."""
    app = folder / "code" / "app"
    app.mkdir(parents=True)
    for file in model.files:
        (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.name).symlink_to(file.path)
    for file in model.code:
        (app / file.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, app / file.name)
    (folder / "clouddeploy.json").write_text(json.dumps(model.manifest(), sort_keys=True), encoding="utf-8")
    return folder


def load(model: Model) -> Callable[[Any], Any]:
    """`model` in this process, by the runtime's own loader, with one thread as endpoints have.

    What it returns raises InputError for inputs that don't fit, HandlerError for bad predictions.

    Raises:
        HandlerError: it can't be loaded.
    """
    from clouddeploy.runtime.errors import LoadError, WireError
    from clouddeploy.runtime.service import Service

    scratch = Scratch()
    try:
        service = Service.load(lay_out(model, scratch.path / "model"), keep_path=False)
    except LoadError as error:
        scratch.close()
        raise HandlerError(
            f"the model can't be loaded: {error}", fix="mend the handler or the file"
        ) from error

    def predict(inputs: Any) -> Any:
        torch = sys.modules.get("torch")
        threads = torch.get_num_threads() if torch else 0
        try:
            if torch:
                torch.set_num_threads(1)
            return service.call(inputs)
        except WireError as error:
            raise _told(error) from error
        finally:
            if torch:
                torch.set_num_threads(threads)

    predict.scratch = scratch  # type: ignore[attr-defined]  # the files live as long as the function
    return predict


def _told(error: WireError) -> CloudDeployError:
    if error.status < 500:
        return InputError(error.message, fix=error.fix, code=error.code, status=error.status)
    return HandlerError(error.message, fix=error.fix)


def check(model: Model, timeout_s: float) -> dict[str, Any] | None:
    """Load `model` and predict its example in a process of its own; see `Model.handler_check`."""
    if os.environ.get(_INSIDE):
        raise HandlerError(
            "a model is made while another is checked",
            why="the file with its class or handler runs as a script when it is imported",
            fix="put what makes the model under if __name__ == '__main__':",
        )
    with tempfile.TemporaryDirectory(prefix="clouddeploy-check-") as name:
        base = Path(name)
        (base / "out").mkdir()
        lay_out(model, base / "model")
        example = model.signature.example if model.signature else None
        if example is not None:
            (base / "example.json").write_text(json.dumps({"inputs": example}), encoding="utf-8")
        body = str(base / "example.json") if example is not None else "-"
        code = _run([str(base / "model"), body, str(base / "out")], base, timeout_s)
        report = _report(base / "out" / "report.jsonl")
        if code != 0 or not report.get("done"):
            raise _failure(model, report, code, base / "output.txt", timeout_s)
        return _outputs(base / "out" / "outputs.npz")


def _run(arguments: list[str], base: Path, timeout_s: float) -> int | None:
    """The exit code; None when the time was up. No process of the group outlives this call."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {_INSIDE: "1"}
    command = [sys.executable, "-P", "-c", _BOOT, str(_RUNTIME.parent), *arguments]
    with (base / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=base,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # nobody of the group is left
        return
    finally:
        process.wait()


def _report(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        found.update(json.loads(line))
    return found


def _failure(
    model: Model, report: dict[str, Any], code: int | None, output: Path, timeout_s: float
) -> CloudDeployError:
    who = f"the handler {model.handler}" if model.handler else f"the {model.format} model"
    phase = report.get("failed") or report.get("phase", "import")
    lines = [
        line for line in output.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
    ]
    tail = "\n".join(f"    {line}" for line in lines[-_TRACE_LINES:])
    if code is None:
        what = f"{who} did not finish {phase} within {timeout_s:g} s"
        fix = "look for work at import or an endless loop, or give more time with timeout_s"
    elif "failed" in report:
        what = f"{who} failed at {phase}: {report['error']}"
        fix = "mend it; this is how it would fail in the cloud"
    else:
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        what = f"{who} ended its process at {phase} {how}"
        fix = "look for a crash in native code, os._exit, or too little memory"
    kind = HandlerError if model.handler else ModelError
    return kind(what, why=f"last lines of its output:\n{tail}" if tail else "it printed nothing", fix=fix)


def _outputs(path: Path) -> dict[str, Any] | None:
    import numpy as np

    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as found:
        return {str(name): found[f"o{i}"] for i, name in enumerate(found["names"])}
