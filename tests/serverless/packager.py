"""Stands before ``clouddeploy package`` as serverless.yml's build step: the same model isn't packed twice.

The first handler is packed by the real command; for another one the handler is exchanged in that zip,
which is quicker. KEPT names the folder for zips.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

HANDLER = "app/handler.py"


def main(arguments: list[str]) -> int:
    """Write the zip that `arguments` name; the exit code."""
    folder, out = Path(arguments[1]), Path(arguments[-1])
    name = hashlib.sha256((folder / "digits.onnx").read_bytes()).hexdigest()
    kept = Path(os.environ["KEPT"]) / f"{name}.zip"
    if not kept.exists():
        from clouddeploy.cli import main as clouddeploy

        code = clouddeploy([*arguments[:-1], str(kept)])
        if code:
            return code
    _exchange(kept, (folder / "handler.py").read_bytes(), out)
    return 0


def _exchange(kept: Path, handler: bytes, out: Path) -> None:
    with zipfile.ZipFile(kept) as old:
        if old.read(HANDLER) == handler:
            shutil.copyfile(kept, out)
            return
        with zipfile.ZipFile(out, "w") as new:
            for member in old.infolist():
                new.writestr(member, handler if member.filename == HANDLER else old.read(member))
