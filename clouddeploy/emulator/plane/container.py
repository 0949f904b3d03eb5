"""A container as endpoints share it: its files, its process while it has one, and who hears its log."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from clouddeploy.emulator.plane.artifact import BadArtifact, remove
from clouddeploy.emulator.plane.process import NotServing, Process
from clouddeploy.emulator.plane.recipe import Program, Recipe, Sink, StartFailed

START_LINES = 400
Make = Callable[[Recipe, Path, Sink, threading.Event], Program]


class Gone(Exception):
    """The container was closed: nobody's endpoint needs it any more."""


class Container:
    """One recipe's files and, while it is needed, its process.

    Args:
        recipe: what it is made of.
        folder: its own folder, made on the first start.
        make: makes its files ready.
    """

    def __init__(self, recipe: Recipe, folder: Path, make: Make) -> None:
        self.recipe = recipe
        self.folder = folder
        self.sinks: dict[str, Sink] = {}
        self.process: Process | None = None
        self.starting = threading.Lock()
        self.lock = threading.Lock()
        self.busy: Counter[str] = Counter()
        self.last_used = time.monotonic()
        self.starts = 0
        self._make = make
        self._program: Program | None = None
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
        """Make ready, start and ping; `starting` is held by the caller.

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
        program = self._prepare()
        process = program.run(self.hear)
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
            advice = program.advice()
            if advice:
                self.hear(advice)
            raise StartFailed(str(error)) from error
        with self.lock:
            self._ready = True
            self.last_used = time.monotonic()

    def _prepare(self) -> Program:
        if self._program is None:
            try:
                self._program = self._make(self.recipe, self.folder, self.hear, self._cancelled)
            except BadArtifact as error:
                remove(self.folder)
                self.hear(str(error))
                raise
        return self._program

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
