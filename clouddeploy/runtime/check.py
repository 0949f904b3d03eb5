"""Load a model and predict once, telling each phase: run in a process of its own before a deploy.

The process writes into a folder, so that what the handler prints can't be taken for a report:
``report.jsonl``, a line for each phase begun and for the end, and ``outputs.npz``.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from pathlib import Path

REPORT = "report.jsonl"
OUTPUTS = "outputs.npz"


def main(model_dir: str, example: str, out: str) -> int:
    """Run the phases ``import``, ``load`` and ``predict``; 0 when all went well.

    Args:
        model_dir: a model folder as in an artifact.
        example: file with a JSON body of the wire contract, or ``-`` for no prediction.
        out: folder for the report.
    """
    phases = ["import"]

    def begin(phase: str) -> None:
        phases.append(phase)
        _tell(Path(out), phase=phase)

    try:
        _run(Path(model_dir), example, Path(out), begin)
    except BaseException as error:  # noqa: BLE001  # a handler may raise SystemExit too
        traceback.print_exc()
        cause = error.__cause__ or error
        line = f"{type(cause).__name__}: {cause}".splitlines()[0]
        _tell(Path(out), failed=getattr(error, "phase", phases[-1]), error=line)
        return 1
    _tell(Path(out), done=True)
    return 0


def _run(model_dir: Path, example: str, out: Path, begin: Callable[[str], None]) -> None:
    import numpy as np

    from clouddeploy.runtime.service import Service

    service = Service.load(model_dir, on_phase=begin)
    if example == "-":
        return
    begin("predict")
    outputs = service.predict(service.decode(Path(example).read_bytes(), "application/json")).outputs
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    plain = {f"o{i}": a.astype(np.str_) if a.dtype.kind == "O" else a for i, a in enumerate(named.values())}
    np.savez(out / OUTPUTS, names=np.array(list(named), dtype=np.str_), **plain)  # type: ignore[arg-type]


def _tell(out: Path, **what: object) -> None:
    with (out / REPORT).open("a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")
