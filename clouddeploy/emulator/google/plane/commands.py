"""How an instance is started: its command, its working folder and its environment variables.

"Container runtime contract" (Cloud Run), and "Environment variables set automatically" (Cloud Run
functions).
"""

from __future__ import annotations

import math
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.emulator.google.plane.spec import RevisionSpec
from clouddeploy.emulator.http.listener import LOOPBACK

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Start:
    """What a process is started with."""

    command: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str]


def start_of(spec: RevisionSpec, port: int, scratch: Path, url: str) -> Start:
    """What starts an instance that shall listen on `port`.

    Args:
        scratch: its own folder for ``HOME`` and temporary files.
        url: where the embedded Google Cloud answers.
    """
    variables = _variables(spec, port, scratch, url)
    folder = spec.root / spec.workdir.lstrip("/")
    return Start(_command(spec, variables), folder if folder.is_dir() else spec.root, variables)


def _python(spec: RevisionSpec) -> str:
    return str(spec.environment / "bin" / "python") if spec.environment is not None else sys.executable


def _command(spec: RevisionSpec, variables: Mapping[str, str]) -> tuple[str, ...]:
    if not spec.command:
        # -P: the framework itself puts the source on the path, behind what is installed.
        return (_python(spec), "-P", "-s", "-m", "functions_framework")
    first, *rest = spec.command
    arguments = [_inside(spec, part) for part in rest]
    if _is_python(first):
        return (_python(spec), *arguments)
    found = _inside(spec, first)
    if "/" not in found:
        found = shutil.which(found, path=variables["PATH"]) or found
    return (found, *arguments)


def _is_python(command: str) -> bool:
    return re.fullmatch(r"(.*/)?python(3(\.\d+)?)?", command) is not None


def _inside(spec: RevisionSpec, text: str) -> str:
    """A path of the container as one of this machine; anything else as it is."""
    if text.startswith("/") and text != "/" and (spec.root / text[1:]).exists():
        return str(spec.root / text[1:])
    return text


def _paths(spec: RevisionSpec, value: str) -> str:
    """A variable that may be a list of paths of the container. Only images have such: a source has none."""
    if not spec.command or not value.startswith("/"):
        return value
    return ":".join(_inside(spec, part) for part in value.split(":"))


def _variables(spec: RevisionSpec, port: int, scratch: Path, url: str) -> dict[str, str]:
    own = {name: _paths(spec, value) for name, value in spec.env.items() if name != "PATH"}
    below = [str(spec.root / p) for p in ("usr/local/bin", "usr/bin", "bin") if (spec.root / p).is_dir()]
    path = [str(spec.environment / "bin")] if spec.environment is not None else []
    host = url.removeprefix("http://")
    held = spec.root / f"usr/local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    if held.is_dir():
        own["PYTHONPATH"] = ":".join(filter(None, (own.get("PYTHONPATH", ""), str(held))))
    found = {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "TRUE",
        **dict.fromkeys(THREADS, str(max(1, math.floor(spec.cpu)))),
        "GCE_METADATA_HOST": host,
        "GCE_METADATA_IP": host,
        "STORAGE_EMULATOR_HOST": url,
        **own,
        "PATH": ":".join([*path, *below, SYSTEM_PATH]),
        "HOST": LOOPBACK,
        "CLOUDDEPLOY_SERVE_HOST": LOOPBACK,
        "PORT": str(port),
        "K_SERVICE": spec.service,
        "K_REVISION": spec.name.rpartition("/")[2],
        "K_CONFIGURATION": spec.service,
    }
    if spec.entry_point:
        found["FUNCTION_TARGET"] = spec.entry_point
        found["FUNCTION_SIGNATURE_TYPE"] = spec.signature
        found.setdefault("CLOUD_RUN_TIMEOUT_SECONDS", str(math.ceil(spec.timeout_s)))
    return found
