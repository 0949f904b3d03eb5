"""A function's zip, unpacked as Lambda does, and the environment that its process runs in.

When the function is for another Python or another machine than this one, its compiled packages can't be
loaded. What clouddeploy's packager lists in ``clouddeploy-packages.json`` is then left out, and what
``requirements.lock`` pins comes from this host instead, which the log says.
"""

from __future__ import annotations

import io
import json
import shutil
import threading
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.emulator.backends.functions import Function
from clouddeploy.emulator.functions.base_image import DISTRIBUTIONS, IMAGE, PYTHON, architecture
from clouddeploy.emulator.plane.artifact import remove
from clouddeploy.emulator.plane.base_image import canonical, installed
from clouddeploy.emulator.plane.environment import Environment, digest, environment_of
from clouddeploy.emulator.plane.requirements import Install, RequirementsFailed

PACKAGES, LOCK = "clouddeploy-packages.json", "requirements.lock"


@dataclass(frozen=True)
class Prepared:
    """What a process of the function needs.

    Args:
        task_root: the unpacked zip, read-only.
        paths: what comes first on ``sys.path``.
        environment: what can be imported besides.
        notes: lines for the log of each cold start.
    """

    task_root: Path
    paths: tuple[str, ...]
    environment: Environment
    notes: tuple[str, ...]


class Workshop:
    """Unpacks each zip once, and knows what is made of it.

    Args:
        folder: where everything is put; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Prepared] = {}
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def key(self, function: Function) -> str:
        """Equal for functions that share what is made here."""
        layers = [layer["Arn"] for layer in function.raw.layers]
        return digest([function.sha256, function.runtime, function.architecture, *layers])

    def prepare(self, function: Function) -> Prepared:
        """Unpack the function's code, unless that was done before."""
        key = self.key(function)
        with self._lock:
            turn = self._turns[key]
        with turn:
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = self._make(function, self._folder / key)
            return made

    def _make(self, function: Function, folder: Path) -> Prepared:
        root, layers = folder / "task", folder / "opt"
        unpack(function.code, root)
        for layer in function.layers():
            unpack(layer, layers)
        environment, notes = _environment(function, root)
        for path in (root, layers):
            _protect(path)
        paths = (str(root), str(layers / "python"))
        return Prepared(root, paths, environment, tuple(notes))

    def forget(self, wanted: Iterable[str]) -> None:
        """Remove everything but `wanted`."""
        keep = set(wanted)
        with self._lock:
            gone = [key for key in self._made if key not in keep]
            for key in gone:
                del self._made[key]
        for key in gone:
            remove(self._folder / key)

    def clear(self) -> None:
        """Remove everything."""
        self.forget(())


def unpack(data: bytes, folder: Path) -> None:
    """Write a zip's files, with the permissions that it states, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            # `extract` drops drive letters, a leading slash and "..": nothing is written elsewhere.
            path = Path(archive.extract(member, folder))
            mode = member.external_attr >> 16 & 0o777
            if mode and path.is_file():
                path.chmod(mode)


def _protect(folder: Path) -> None:
    """Take the right to write away; it means nothing to a root user, but to everybody else."""
    for path in [folder, *folder.rglob("*")] if folder.exists() else []:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def _environment(function: Function, root: Path) -> tuple[Environment, list[str]]:
    wanted = function.runtime.removeprefix("python")
    fits = wanted == PYTHON and function.architecture == architecture()
    if fits:
        return environment_of(IMAGE, installed(DISTRIBUTIONS)), []
    notes = [
        f"clouddeploy: THIS IS NOT Python {wanted} on {function.architecture}: the embedded cloud runs the "
        f"function with Python {PYTHON} on {architecture()}, its own."
    ]
    if not (root / PACKAGES).is_file():
        return environment_of(IMAGE, installed(DISTRIBUTIONS)), notes
    entries = json.loads((root / PACKAGES).read_text(encoding="utf-8"))["entries"]
    for entry in entries:
        _drop(root, str(entry))
    pins = _pins(root / LOCK)
    distributions = installed([*DISTRIBUTIONS, *pins])
    have = {d.name: d.version for d in distributions}
    differing = [
        f"{name} {have[name]} (not {pin})" for name, pin in pins.items() if have.get(name, pin) != pin
    ]
    notes.append(
        f"clouddeploy: its {len(entries)} packaged entries are replaced by this machine's own packages"
        + (f"; other versions: {', '.join(differing)}" if differing else "")
    )
    environment = environment_of(IMAGE, distributions)
    lacking = [f"{name}=={pin}" for name, pin in pins.items() if name not in have]
    if lacking:
        environment = _install(root.parent / "lacking.txt", lacking, environment, notes)
    return environment, notes


def _install(path: Path, lines: list[str], base: Environment, notes: list[str]) -> Environment:
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        return Install(path, base, lambda _: None, threading.Event()).environment()
    except RequirementsFailed as error:
        notes.append(f"clouddeploy: this machine lacks {', '.join(lines)}, and pip could not help: {error}")
        return base


def _pins(path: Path) -> dict[str, str]:
    """Version by normalised name; a missing file pins nothing."""
    if not path.is_file():
        return {}
    lines = (line.split("#")[0].split(";")[0].strip() for line in path.read_text("utf-8").splitlines())
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {canonical(name.strip()): version.strip() for name, _, version in pairs}


def _drop(root: Path, entry: str) -> None:
    path = root / entry
    if path.resolve().parent != root.resolve():
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
