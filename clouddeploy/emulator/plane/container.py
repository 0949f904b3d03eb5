"""A container as endpoints share it: its files, its process while it has one, and who hears its log."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.emulator.plane.artifact import BadArtifact, Objects, Source, remove, unpack
from clouddeploy.emulator.plane.environment import Environment, base_environment, digest
from clouddeploy.emulator.plane.process import NotServing, Process
from clouddeploy.emulator.plane.requirements import Install, RequirementsFailed

START_LINES = 400
Sink = Callable[[str], None]
TORCH_FILES = (".pt", ".pt2", ".pth", ".safetensors")


class Gone(Exception):
    """The container was closed: nobody's endpoint needs it any more."""


class StartFailed(Exception):
    """The container can't serve; the message is why, for people."""


@dataclass(frozen=True)
class Recipe:
    """What makes two containers the same: their bytes and their environment variables.

    Args:
        source: the model data.
        content: digest of the model data when the endpoint was made.
        variables: environment variables, sorted.
    """

    source: Source | None
    content: str
    variables: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        """Equal for containers that can be shared."""
        return digest([self.content, *(f"{k}={v}" for k, v in self.variables)])


class Container:
    """One recipe's files and, while it is needed, its process.

    Args:
        recipe: what it is made of.
        folder: its own folder, made on the first start.
        s3: where the model data comes from.
    """

    def __init__(self, recipe: Recipe, folder: Path, s3: Objects) -> None:
        self.recipe = recipe
        self.folder = folder
        self.sinks: dict[str, Sink] = {}
        self.process: Process | None = None
        self.starting = threading.Lock()
        self.lock = threading.Lock()
        self.busy: Counter[str] = Counter()
        self.last_used = time.monotonic()
        self.starts = 0
        self._s3 = s3
        self._environment: Environment | None = None
        self._start_lines: list[str] = []
        self._ready = False
        self._cancelled = threading.Event()
        self._last_holder = ""

    def hear(self, line: str) -> None:
        """Hand a log line to the endpoints whose it is: those with a request in flight, else the last."""
        with self.lock:
            # Until the first request all is the start's, even what is read a moment after the ping.
            if not self._last_holder and len(self._start_lines) < START_LINES:
                self._start_lines.append(line)
            names = [n for n, count in self.busy.items() if count] or [self._last_holder]
            sinks = [self.sinks[n] for n in names if n in self.sinks] if self._ready else []
            sinks = sinks or list(self.sinks.values())
        for sink in sinks:
            sink(line)

    def add(self, holder: str, sink: Sink) -> None:
        """Let `holder` use it; it hears what the process printed while it started."""
        with self.lock:
            self.sinks[holder] = sink
            heard = list(self._start_lines) if self.process is not None else []
        for line in heard:
            sink(line)

    def enter(self, holder: str) -> Process | None:
        """The living process, marked busy for `holder` until `leave`; None when it must be started.

        Raises:
            Gone: the container was closed.
        """
        with self.lock:
            if self._cancelled.is_set():
                raise Gone(self.recipe.key)
            process = self.process
            if process is None or not self._ready or not process.alive:
                return None
            self.busy[holder] += 1
            self._last_holder = holder
            return process

    def leave(self, holder: str) -> None:
        """The request that `enter` began is over."""
        with self.lock:
            self.busy[holder] -= 1
            self.last_used = time.monotonic()

    @property
    def serving(self) -> bool:
        """Whether it has a process that passed its first ping and lives."""
        return self.process is not None and self._ready and self.process.alive

    @property
    def idle(self) -> bool:
        """Whether it has a process with nothing to do."""
        return self.process is not None and self._ready and not any(self.busy.values())

    def take_idle(self) -> Process | None:
        """Take the process away if it has nothing to do; the caller ends it."""
        with self.lock:
            if not self.idle:
                return None
            process, self.process, self._ready = self.process, None, False
            return process

    def start(self, timeout_s: float) -> None:
        """Unpack, install, start and ping; `starting` is held by the caller.

        Raises:
            StartFailed: one of them failed.
            BadArtifact: the model data can't be unpacked.
            Gone: the container was closed.
        """
        with self.lock:
            if self._cancelled.is_set():
                raise Gone(self.recipe.key)
            old, self.process, self._ready = self.process, None, False
            self._start_lines, self._last_holder = [], ""
        if old is not None:
            self.hear(f"The container's process has ended: {old.end()}. It is started again.")
        self.starts += 1
        environment = self._prepare()
        process = Process(self.folder, environment, dict(self.recipe.variables), self.hear)
        with self.lock:
            self.process = process
        if self._cancelled.is_set():
            process.end()
        try:
            process.wait_ready(timeout_s)
        except NotServing as error:
            process.end()
            with self.lock:
                self.process = None
            self._advise(environment)
            raise StartFailed(str(error)) from error
        with self.lock:
            self._ready = True
            self.last_used = time.monotonic()

    def _prepare(self) -> Environment:
        if self._environment is not None:
            return self._environment
        try:
            if not self.folder.exists():
                unpack(self.recipe.source, self._s3, self.folder / "model")
            wanted = self.folder / "model" / "code" / "requirements.txt"
            install = Install(wanted, base_environment(), self.hear, self._cancelled)
            self._environment = install.environment()
        except BadArtifact as error:
            remove(self.folder)
            self.hear(str(error))
            raise
        except RequirementsFailed as error:
            self.hear("code/requirements.txt could not be installed.")
            raise StartFailed(f"pip: {error}") from error
        return self._environment

    def _advise(self, environment: Environment) -> None:
        """Tell apart what fails only because this host lacks what the image has."""
        weights = any(f.suffix in TORCH_FILES for f in (self.folder / "model").glob("*"))
        if weights and not environment.has("torch"):
            self.hear(
                "The model looks like a PyTorch one, and PyTorch isn't installed on this machine, from "
                "where the embedded cloud takes what SageMaker's image has: install torch beside clouddeploy."
            )

    def cancel(self) -> None:
        """End the process even while it starts, so that whoever waits for that start gives up."""
        with self.lock:
            self._cancelled.set()
            process = self.process
        if process is not None:
            process.end()

    def close(self) -> None:
        """End the process and remove the files; `starting` is held by the caller."""
        with self.lock:
            process, self.process, self._ready = self.process, None, False
        if process is not None:
            process.end()
        remove(self.folder)
