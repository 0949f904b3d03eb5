"""What an image's Python code can import here: what the image itself holds, and nothing of this machine.

An image that clouddeploy made for another Python or another machine has packages that can't be loaded
here. What its ``clouddeploy-packages.json`` lists is then left out, and this machine's own versions of
what ``requirements.lock`` pins stand in, which is told.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clouddeploy.emulator.plane.base_image import canonical, installed
from clouddeploy.emulator.plane.environment import Environment, environment_of
from clouddeploy.emulator.plane.recipe import Sink, StartFailed
from clouddeploy.emulator.plane.requirements import Install, RequirementsFailed

PACKAGES, LOCK = "clouddeploy-packages.json", "requirements.lock"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BARE = "nothing-but-python"


def machine() -> str:
    """This machine's processor, in AWS's words."""
    found = platform.machine().lower()
    return {"aarch64": "arm64", "amd64": "x86_64"}.get(found, found)


def environment_for(place: Path, log: Sink, cancelled: threading.Event) -> Environment:
    """The environment for code that lies in `place`, from where packages that can't be loaded are removed.

    Raises:
        StartFailed: it needs what this machine neither has nor can get.
    """
    bare = environment_of(BARE, ())
    if not (place / PACKAGES).is_file():
        return bare
    packed: dict[str, Any] = json.loads((place / PACKAGES).read_text(encoding="utf-8"))
    if packed["python"] == PYTHON and packed["architecture"] == machine():
        return bare
    log(
        f"clouddeploy: THIS IS NOT Python {packed['python']} on {packed['architecture']}: the embedded cloud "
        f"runs the image with Python {PYTHON} on {machine()}, its own."
    )
    made = _stand_ins(place, log, cancelled)
    _drop(place, packed["entries"])
    return made


def _stand_ins(place: Path, log: Sink, cancelled: threading.Event) -> Environment:
    pins = _pins(place / LOCK)
    found = installed(pins)
    have = {d.name: d.version for d in found}
    others = [f"{name} {have[name]} (not {pin})" for name, pin in pins.items() if have.get(name, pin) != pin]
    log(
        "clouddeploy: its packages are replaced by this machine's own"
        + (f"; other versions: {', '.join(others)}" if others else "")
    )
    made = environment_of(BARE, found)
    lacking = [f"{name}=={pin}" for name, pin in pins.items() if name not in have]
    if not lacking:
        return made
    wanted = place / "clouddeploy-lacking.txt"
    wanted.write_text("\n".join(lacking), encoding="utf-8")
    try:
        return Install(wanted, made, log, cancelled).environment()
    except RequirementsFailed as error:
        raise StartFailed(f"this machine lacks {', '.join(lacking)}, and pip could not help") from error


def _pins(path: Path) -> dict[str, str]:
    """Version by normalised name; a missing file pins nothing."""
    if not path.is_file():
        return {}
    lines = (line.split("#")[0].split(";")[0].strip() for line in path.read_text("utf-8").splitlines())
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {canonical(name.strip()): version.strip() for name, _, version in pairs}


def _drop(place: Path, entries: Iterable[str]) -> None:
    for entry in entries:
        path = place / str(entry)
        if path.resolve().parent != place.resolve():
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
