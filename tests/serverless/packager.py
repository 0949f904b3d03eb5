"""Stands before ``clouddeploy package`` as serverless.yml's build step: the same model isn't packed twice.

The example's own handler is packed by the real command, whichever test comes first; for another one it
is exchanged in that zip, which is quicker and takes broken ones. KEPT names the folder for zips.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

HANDLER = "app/handler.py"
EXAMPLE = Path(__file__).parents[2] / "examples" / "digits" / "handler.py"


def main(arguments: list[str]) -> int:
    """Write the zip that `arguments` name; the exit code."""
    folder, out = Path(arguments[1]), Path(arguments[-1])
    name = hashlib.sha256((folder / "digits.onnx").read_bytes()).hexdigest()
    kept = Path(os.environ["KEPT"]) / f"{name}.zip"
    if not kept.exists():
        code = _packed(arguments, folder, kept)
        if code:
            return code
    _exchange(kept, (folder / "handler.py").read_bytes(), out)
    return 0


def _packed(arguments: list[str], folder: Path, kept: Path) -> int:
    from clouddeploy.cli import main as clouddeploy

    with tempfile.TemporaryDirectory() as place:
        good = Path(place) / "model"
        shutil.copytree(folder, good)
        shutil.copyfile(EXAMPLE, good / "handler.py")
        return clouddeploy([arguments[0], str(good), *arguments[2:-1], str(kept)])


def _exchange(kept: Path, handler: bytes, out: Path) -> None:
    with zipfile.ZipFile(kept) as old:
        if old.read(HANDLER) == handler:
            shutil.copyfile(kept, out)
            return
        with zipfile.ZipFile(out, "w") as new:
            for member in old.infolist():
                new.writestr(member, handler if member.filename == HANDLER else old.read(member))
