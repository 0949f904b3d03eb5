"""Building a function's source, as far as Cloud Build does something that can fail.

The steps are those of Google's buildpacks for Python (GoogleCloudPlatform/buildpacks, ``cmd/python``):
the source must have ``main.py``, everything is compiled, the requirements are installed.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.emulator.google.plane.environments import environment_for
from clouddeploy.emulator.google.plane.spec import Log
from clouddeploy.emulator.plane.artifact import remove
from clouddeploy.emulator.plane.environment import digest
from clouddeploy.emulator.plane.pip import RequirementsFailed

MAIN = "main.py"
NO_MAIN = (
    "missing main.py and GOOGLE_FUNCTION_SOURCE not specified. Either create the function in main.py or "
    "specify GOOGLE_FUNCTION_SOURCE to point to the file that contains the function"
)
COMPILE_S = 300


class BuildFailed(Exception):
    """A source that can't be built.

    Args:
        message: why, as the build's last lines say it.
        line: the one line that matters most, or empty.
    """

    def __init__(self, message: str, line: str = "") -> None:
        super().__init__(message)
        self.message, self.line = message, line


@dataclass(frozen=True)
class Built:
    """What a build made.

    Args:
        root: the unpacked source.
        environment: folder of the virtual environment for it.
        entry_point: the function's name.
    """

    root: Path
    environment: Path
    entry_point: str


class Workshop:
    """Builds each source once.

    Args:
        folder: where sources are unpacked; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Built] = {}
        self._used: dict[Path, float] = {}
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._cancelled = threading.Event()

    def build(self, zip_path: Path, *, entry_point: str, runtime: str, log: Log) -> Built:
        """Build the source in a zip, unless that was done before.

        Raises:
            BuildFailed: it can't be built.
        """
        with zip_path.open("rb") as file:
            key = digest([hashlib.file_digest(file, "sha256").hexdigest(), runtime])
        with self._lock:
            turn = self._turns[key]
        with turn:
            made = self._made.get(key)
            if made is None:
                root = self._folder / key
                try:
                    environment = self._make(zip_path, root, runtime, log)
                except BaseException:
                    remove(root)
                    raise
                made = self._made[key] = Built(root, environment, entry_point)
            self._used[made.root] = time.monotonic()
        return Built(made.root, made.environment, entry_point)

    def _make(self, zip_path: Path, root: Path, runtime: str, log: Log) -> Path:
        unpack(zip_path, root)
        if not (root / MAIN).is_file():
            log("ERROR", f"Failure: {NO_MAIN}; Error ID: 5c04ec9c")
            raise BuildFailed(f"{NO_MAIN}; Error ID: 5c04ec9c", NO_MAIN)
        _compile(root, log)
        try:
            return environment_for(root, runtime, log, self._cancelled)
        except RequirementsFailed as error:
            lines = [line for line in str(error).splitlines() if line.startswith("ERROR")]
            for line in str(error).splitlines():
                log("ERROR", line)
            raise BuildFailed(
                f"pip install failed: {error}", (lines or str(error).splitlines())[0]
            ) from error

    def touch(self, root: Path) -> None:
        """Note that a source is in use."""
        with self._lock:
            if root in self._used:
                self._used[root] = time.monotonic()

    def forget(self, unused_s: float) -> None:
        """Remove the sources that nobody has used for so long."""
        before = time.monotonic() - unused_s
        with self._lock:
            gone = [key for key, made in self._made.items() if self._used.get(made.root, 0) < before]
            roots = [self._made.pop(key).root for key in gone]
            for root in roots:
                self._used.pop(root, None)
        for root in roots:
            remove(root)

    def clear(self) -> None:
        """Remove everything."""
        self.forget(-1)

    def close(self) -> None:
        """Give up what is under way, and remove everything."""
        self._cancelled.set()
        self.clear()


def unpack(zip_path: Path, root: Path) -> None:
    """Write a zip's files into `root`, and nothing anywhere else.

    Raises:
        BuildFailed: it is no zip, or has a member that would leave the folder.
    """
    if root.exists():
        remove(root)
    root.mkdir(parents=True)
    try:
        with zipfile.ZipFile(zip_path) as archive:
            for member in archive.infolist():
                _extract(archive, member, root)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise BuildFailed(f"the source isn't a zip archive that can be read: {error}") from error


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, root: Path) -> None:
    name, mode = member.filename, member.external_attr >> 16
    target = (root / name).resolve()
    if name.startswith(("/", "\\")) or not target.is_relative_to(root.resolve()):
        raise BuildFailed(f"the source has the member {name!r}, which would leave its folder", name)
    if stat.S_ISLNK(mode):
        raise BuildFailed(f"the source has the symbolic link {name!r}", name)
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    if mode & 0o777:
        target.chmod(mode & 0o777 | 0o600)


def _compile(root: Path, log: Log) -> None:
    """``python -m compileall``: a syntax error is the build's failure.

    Raises:
        BuildFailed: with the file, the line and what is wrong.
    """
    command = [sys.executable, "-I", "-m", "compileall", "-q", "-s", str(root), "-p", "/workspace", "."]
    with tempfile.TemporaryFile() as output:
        code = subprocess.run(
            command, cwd=root, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            timeout=COMPILE_S, check=False,
        ).returncode  # fmt: skip
        output.seek(0)
        text = output.read().decode("utf-8", "replace").replace("'./", "'").strip()
    if code:
        for line in text.splitlines():
            log("ERROR", line)
        places = re.findall(r'File "[^"]*", line \d+', text)
        kinds = re.findall(r"^\w*Error: .*$", text, re.MULTILINE)
        raise BuildFailed(f"compileall failed: {text[-800:]}", ": ".join([*places[:1], *kinds[:1]]))
