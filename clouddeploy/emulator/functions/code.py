"""A function's code, unpacked as Lambda does, and the environment that its process runs in.

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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clouddeploy.emulator.backends.functions import Function
from clouddeploy.emulator.functions.base_image import DISTRIBUTIONS, IMAGE, PYTHON, architecture
from clouddeploy.emulator.plane.artifact import remove
from clouddeploy.emulator.plane.base_image import canonical, installed
from clouddeploy.emulator.plane.environment import Environment, digest, environment_of
from clouddeploy.emulator.plane.requirements import Install, RequirementsFailed

PACKAGES, LOCK = "clouddeploy-packages.json", "requirements.lock"


@dataclass(frozen=True)
class Hindrance:
    """Why no process of a function can be started, in Lambda's words.

    Args:
        kind: error type, such as ``Runtime.InvalidEntrypoint``.
        words: what went wrong.
        lines: what the log says before.
    """

    kind: str
    words: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """What a process of the function needs.

    Args:
        task_root: the function's code.
        paths: what comes first on ``sys.path``.
        environment: what can be imported besides.
        notes: lines for the log of each cold start.
        handler: ``module.function``, where the code names it and not the function's configuration.
        folder: where the process starts; None is the task root.
        read_only: what can't be written to; None is the task root.
        variables: environment variables that come with the code.
        hindrance: why it can't be started.
    """

    task_root: Path
    paths: tuple[str, ...]
    environment: Environment
    notes: tuple[str, ...]
    handler: str = ""
    folder: Path | None = None
    read_only: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    hindrance: Hindrance | None = None


class Workshop:
    """Unpacks each zip and image once, and knows what is made of it.

    Args:
        folder: where everything is put; made when it is needed.
        images: unpacks a function's image into a folder.
    """

    def __init__(self, folder: Path, images: Callable[[Function, Path], Prepared]) -> None:
        self._folder, self._images = folder, images
        self._made: dict[str, Prepared] = {}
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def key(self, function: Function) -> str:
        """Equal for functions that share what is made here."""
        layers = [layer["Arn"] for layer in function.raw.layers]
        image = repr(function.image_settings) if function.package == "Image" else ""
        return digest([function.sha256, function.runtime, function.architecture, image, *layers])

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
        if function.package == "Image":
            return self._images(function, folder)
        root, layers = folder / "task", folder / "opt"
        unpack(function.code, root)
        for layer in function.layers():
            unpack(layer, layers)
        wanted = function.runtime.removeprefix("python")
        made, notes = environment(wanted, function.architecture, root)
        for path in (root, layers):
            protect(path)
        paths = (str(root), str(layers / "python"))
        return Prepared(root, paths, made, tuple(notes))

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


def protect(folder: Path) -> None:
    """Take the right to write away; it means nothing to a root user, but to everybody else."""
    for path in [folder, *folder.rglob("*")] if folder.exists() else []:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def packed_for(root: Path) -> str:
    """The Python that the packages in the task root `root` are for, where our packager made it."""
    path = root / PACKAGES
    return str(json.loads(path.read_text(encoding="utf-8"))["python"]) if path.is_file() else ""


def environment(wanted: str, machine: str, root: Path) -> tuple[Environment, list[str]]:
    """What code for another Python or machine can import here, and the lines that tell of it.

    Args:
        wanted: the code's Python, such as ``3.13``.
        machine: its architecture.
        root: where it is; what can't be loaded here is removed from it.
    """
    fits = wanted == PYTHON and machine == architecture()
    if fits:
        return environment_of(IMAGE, installed(DISTRIBUTIONS)), []
    notes = [
        f"clouddeploy: THIS IS NOT Python {wanted} on {machine}: the embedded cloud runs the "
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
    made = environment_of(IMAGE, distributions)
    lacking = [f"{name}=={pin}" for name, pin in pins.items() if name not in have]
    if lacking:
        made = _install(root.parent / "lacking.txt", lacking, made, notes)
    return made, notes


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
