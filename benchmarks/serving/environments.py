"""An environment for each peer, in the user's cache folder, with pinned versions.

torch is never resolved: its folders are linked from the environment that runs the benchmark, so that every
server runs the very same one, and no index can answer with another build.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from clouddeploy.emulator.plane.environment import cached, digest, site_of

PINS = Path(__file__).parent / "pins"
TORCH = ("torch", "torchgen", "functorch")
WITHOUT_TORCH = "torch ; sys_platform == 'never'\n"


class CannotInstall(Exception):
    """A peer that can't be had here, with the reason."""


def environment(peer: str) -> Path:
    """The folder of the peer's environment, made when it isn't there yet.

    Raises:
        CannotInstall: what it needs isn't on this machine, or the installer failed.
    """
    if peer == "torchserve" and not shutil.which("java"):
        raise CannotInstall("TorchServe needs a Java runtime, and there is none")
    pins = (PINS / f"{peer}.txt").read_text("utf-8")
    key = digest(["serving-peer", sys.base_prefix, sys.version, _torch_version(), pins])
    return cached(key, partial(_build, peer=peer))


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "bin" / "python"


def _torch_version() -> str:
    return importlib.metadata.version("torch")


def _build(folder: Path, *, peer: str) -> None:
    import uv

    program = str(uv.find_uv_bin())
    overrides = folder.parent / f"{folder.name}-overrides.txt"
    folder.mkdir(parents=True, exist_ok=True)
    overrides.write_text(WITHOUT_TORCH, "utf-8")
    try:
        _run(program, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder))
        _run(
            *(program, "pip", "install", "--quiet", "--link-mode", "copy", "--no-deps"),
            *("--python", str(python_of(folder)), "--overrides", str(overrides)),
            *("-r", str(PINS / f"{peer}.txt")),
        )
    finally:
        overrides.unlink(missing_ok=True)
    _link_torch(site_of(folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise CannotInstall(" ".join(done.stderr.split())[-400:])


def _link_torch(site: Path) -> None:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise CannotInstall("torch isn't installed beside clouddeploy")
    host = Path(spec.origin).parent.parent
    for found in [*(host / name for name in TORCH), *host.glob("torch-*.dist-info")]:
        target = site / found.name
        if not target.exists():
            target.symlink_to(found)
