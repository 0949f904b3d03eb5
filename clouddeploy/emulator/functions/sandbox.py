"""One execution environment: its initialisation, and one invocation at a time.

"Understanding the Lambda execution environment lifecycle" (Lambda Developer Guide): ten seconds for the
initialisation, which is tried once more within the function's own time when it fails; the process is
frozen between invocations, and killed when one takes too long or too much memory.

Memory is looked at many times a second and counts resident pages of the process and its children: limits
of the operating system count what is reserved, which numerical libraries do lavishly.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from clouddeploy.emulator.functions.guardian import Guardian
from clouddeploy.emulator.functions.journal import Journal
from clouddeploy.emulator.functions.process import FunctionProcess, remaining
from clouddeploy.emulator.functions.recipe import Event, Outcome, Recipe
from clouddeploy.emulator.functions.runtime_api import Desk, Invocation, trace_id
from clouddeploy.emulator.plane.artifact import remove

LOOK_S = 0.02
TAIL = 4096
RESPONSE_LIMIT = 6_291_556
SETTLE_S = 0.5


class Broken(Exception):
    """An initialisation failed.

    Args:
        answer: the error object for the caller.
        status: ``error`` or ``timeout``.
    """

    def __init__(self, answer: dict[str, Any], status: str) -> None:
        super().__init__(answer.get("errorMessage", ""))
        self.answer, self.status = answer, status


class NotTaken(Exception):
    """The process had died before it could take the event, which is no fault of the event's."""


class Sandbox:
    """An execution environment of one function version.

    Args:
        recipe: the function.
        folder: its own folder, removed in the end.
        journal: where its log goes.
        guardian: what ends its process when the embedded cloud is killed.
    """

    def __init__(self, recipe: Recipe, folder: Path, journal: Journal, guardian: Guardian) -> None:
        self.recipe = recipe
        self.last_used = time.monotonic()
        self.provisioned = False
        self.retired = False
        self._folder, self._journal, self._guardian = folder, journal, guardian
        self._process: FunctionProcess | None = None
        self._desk: Desk | None = None
        self._heard: list[str] = []
        self._init_s = 0.0
        self._closing = threading.Event()

    @property
    def pid(self) -> int:
        """Its process, or 0."""
        return self._process.pid if self._process is not None else 0

    @property
    def alive(self) -> bool:
        """Whether it can take an invocation."""
        return self._process is not None and self._process.alive and not self.retired

    @property
    def has_process(self) -> bool:
        """Whether its process lives, of use to the function or not."""
        return self._process is not None and self._process.alive

    def adopt(self, recipe: Recipe) -> None:
        """Serve another version, of the same code and settings, from now on."""
        self.recipe, self.retired = recipe, False
        self.last_used = time.monotonic()

    def start(self, limit_s: float) -> bool:
        """Initialise, unless that was done before; whether it went well. A failure is in the log."""
        self._note([*self.recipe.prepared.notes, *self.recipe.report.init_start()])
        if self.has_process:
            return True
        try:
            self._boot(limit_s, "init")
        except Broken:
            return False
        return True

    def _boot(self, limit_s: float, phase: str, request_id: str = "") -> None:
        began = time.monotonic()
        try:
            self._refuse_hindered(request_id)
            self._spawn()
            self._await_ready(began + limit_s, limit_s, request_id)
        except Broken as error:
            self._hear(everything=True)
            self._end_process()
            spent = min(time.monotonic() - began, limit_s)
            kind = str(error.answer.get("errorType", ""))
            self._note(self.recipe.report.init_report(spent, phase, error.status, kind))
            raise
        self._hear(everything=True)
        self._init_s = time.monotonic() - began

    def _refuse_hindered(self, request_id: str) -> None:
        """Fail as Lambda does when a function's code names nothing that can be started."""
        hindrance = self.recipe.prepared.hindrance
        if hindrance is not None:
            words = f"RequestId: {request_id} Error: {hindrance.words}"
            self._note([*hindrance.lines, f"{words}\n{hindrance.kind}"])
            raise Broken({"errorType": hindrance.kind, "errorMessage": words}, "error")

    def _spawn(self) -> None:
        scratch = self._folder / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        recipe = self.recipe
        self._desk = Desk(self._freeze, self._begin)
        variables = recipe.variables(self._desk.address, scratch)
        process = FunctionProcess(
            recipe.prepared.environment.python,
            recipe.prepared.folder or recipe.prepared.task_root,
            recipe.handler,
            recipe.prepared.paths,
            [str(scratch), "/tmp", "/dev", "/proc"],
            recipe.prepared.read_only or recipe.prepared.task_root,
            variables,
            self._guardian,
        )
        self._process = process
        if self._closing.is_set():
            self._end_process()

    def _freeze(self) -> None:
        if self._process is not None:
            self._process.freeze()

    def _begin(self, invocation: Invocation) -> None:
        """The process takes an invocation."""
        self._note(self.recipe.report.start(invocation.request_id))
        if self._process is not None:
            self._process.thaw()

    def _await_ready(self, deadline: float, limit_s: float, request_id: str) -> None:
        desk, process = self._desk, self._process
        assert desk is not None
        assert process is not None
        while not desk.ready.wait(min(LOOK_S, remaining(deadline))):
            trouble = self._trouble(process)
            if trouble:
                raise Broken(_exit(request_id, trouble), "error")
            if not remaining(deadline):
                raise Broken(_timeout(request_id, limit_s), "timeout")
        if desk.init_error is not None:
            process.wait(SETTLE_S)
            raise Broken(desk.init_error, "error")

    def _trouble(self, process: FunctionProcess) -> str:
        """How the process ended, when it did or now does; also takes in what it printed."""
        dead = not process.alive
        self._hear(everything=dead)
        if dead:
            return process.end()
        return process.end() if process.rss_mb() > self.recipe.memory_mb else ""

    def invoke(self, event: Event, init_limit_s: float) -> Outcome:
        """Run one event.

        Raises:
            NotTaken: the process was dead already.
        """
        report, began = self.recipe.report, time.monotonic()
        deadline = began + self.recipe.timeout_s
        error: dict[str, Any] | None = None
        status = ""
        # What isn't there yet is initialised first, and that time isn't the invocation's.
        fresh = self._process is None
        if not fresh:
            self._heard, self._init_s = [], 0.0
        if fresh and self.start(init_limit_s):
            began = time.monotonic()
            deadline = began + self.recipe.timeout_s
        elif fresh:
            began = time.monotonic()
            deadline = began + self.recipe.timeout_s
            try:
                self._boot(self.recipe.timeout_s, "invoke", event.request_id)
            except Broken as broken:
                error, status = broken.answer, broken.status
                self._note(report.start(event.request_id))
        invocation = Invocation(
            event.request_id, event.payload, time.time() + remaining(deadline), event.arn, trace_id(),
            event.client_context,
        )  # fmt: skip
        if error is None:
            error, status = self._run(invocation, deadline)
        return self._finish(event, invocation, began, error, status)

    def _run(self, invocation: Invocation, deadline: float) -> tuple[dict[str, Any] | None, str]:
        desk, process = self._desk, self._process
        assert desk is not None
        assert process is not None
        desk.give(invocation)
        while not invocation.done.wait(min(LOOK_S, remaining(deadline))):
            trouble = self._trouble(process)
            if invocation.done.is_set():
                break
            if trouble and not invocation.taken:
                raise NotTaken(trouble)
            if trouble:
                words = f"RequestId: {invocation.request_id} Error: {trouble}"
                self._note([f"{words}\nRuntime.ExitError"])
                return _exit(invocation.request_id, trouble), "error"
            if not remaining(deadline):
                self._note(self.recipe.report.timed_out(invocation.request_id, self.recipe.timeout_s))
                return _timeout(invocation.request_id, self.recipe.timeout_s), "timeout"
        return None, ""

    def _finish(
        self, event: Event, invocation: Invocation, began: float, error: dict[str, Any] | None, status: str
    ) -> Outcome:
        seconds = time.monotonic() - began
        if status == "timeout":
            seconds = self.recipe.timeout_s
        self._hear(everything=True)
        peak = self._process.peak_mb() if self._process is not None else 0
        if error is not None:
            body, failed = json.dumps(error).encode(), True
            self._end_process()
        else:
            failed = invocation.error is not None
            body = (invocation.error if failed else invocation.result) or b""
        if len(body) > RESPONSE_LIMIT:
            body, failed = _too_large(len(body)), True
        kind = str(error.get("errorType", "")) if error is not None and status == "error" else ""
        lines = self.recipe.report.end(event.request_id, seconds, peak, self._init_s, status, kind)
        self._init_s = 0.0
        self._note(lines)
        heard, self._heard = self._heard, []
        tail = "\n".join([*heard, ""]).encode()[-TAIL:]
        self.last_used = time.monotonic()
        return Outcome(event.request_id, body, failed, self.recipe.version, tail, seconds)

    def _hear(self, *, everything: bool) -> None:
        """Take in what the process printed."""
        if self._process is not None:
            self._note(self._process.output(everything=everything))

    def _note(self, lines: list[str]) -> None:
        if lines:
            self._heard += lines
            self._journal.add(self.recipe.stream, lines)

    def _end_process(self) -> None:
        process, desk = self._process, self._desk
        self._process = None
        if process is not None:
            process.end()
        if desk is not None:
            self._desk = None
            desk.close()

    def close(self) -> None:
        """End it for good."""
        self.retired = True
        self._closing.set()
        self._end_process()
        remove(self._folder)


def _exit(request_id: str, how: str) -> dict[str, Any]:
    return {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request_id} Error: {how}"}


def _timeout(request_id: str, seconds: float) -> dict[str, Any]:
    message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
    return {"errorType": "Sandbox.Timedout", "errorMessage": message}


def _too_large(size: int) -> bytes:
    message = f"Response payload size ({size} bytes) exceeded maximum allowed payload size (6291556 bytes)."
    return json.dumps({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}).encode()
