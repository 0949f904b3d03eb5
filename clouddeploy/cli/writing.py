"""The folder that a server serves, made by a process of its own.

Reading a model loads its framework, hundreds of megabytes that the supervisor of a server would keep.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from clouddeploy.cli.app import bug
from clouddeploy.errors import CloudDeployError, ModelError

if TYPE_CHECKING:
    from clouddeploy.cli.terminal import Terminal
    from clouddeploy.model import Model

CODE = "import sys; sys.path[:] = {path!r}; from clouddeploy.cli.writing import main; main({number})"
"""Not ``-m``: that would let the files of the folder it runs in stand in for modules."""
ENDING_S = 2.0
"""How long a process that is told to end gets for it."""


@dataclass(frozen=True)
class Order:
    """A model that is to be written to a folder.

    Args:
        path: its weights, or the folder of its files or of its clouddeploy.toml.
        handler: its inference code.
        source: the class that weights without a program belong to, as ``FILE:CLASS``.
        allow_pickle: accept a pickled module.
    """

    path: Path
    handler: Path | None
    source: str | None
    allow_pickle: bool


class Trace(Exception):
    """Where an error came from in the process that met it."""


@contextmanager
def written(order: Order, terminal: Terminal) -> Iterator[Path]:
    """The model's folder, there for the while.

    Raises:
        CloudDeployError: what reading and writing it met.
        ModelError: the process that read it died.
    """
    with _removed_on_sigterm(), tempfile.TemporaryDirectory(prefix="clouddeploy-") as made:
        with (
            terminal.progress() as progress,
            ExitStack() as going_on,
            _messages(order, Path(made)) as messages,
        ):
            for kind, value in messages:
                if kind == "activity":
                    going_on.close()
                    going_on.enter_context(progress.activity(value))
                elif kind == "warning":
                    terminal.say(f"warning: {value}")
                else:
                    error, trace = value
                    raise error from Trace(f"in the process that read the model:\n{trace}")
        yield Path(made) / "model"


@contextmanager
def _removed_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end this process by an exception, so that it leaves nothing behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, *_: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _messages(order: Order, made: Path) -> Iterator[Iterator[tuple[str, Any]]]:
    """What the process that does it tells."""
    reading, writing = os.pipe()
    with open(reading, "rb") as told:
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", CODE.format(path=sys.path, number=writing)],
                pass_fds=(writing,),
                stdin=subprocess.PIPE,
                env={**os.environ, "TMPDIR": str(made)},
                start_new_session=True,  # Ctrl-C is for this process: it ends the other
            )
        finally:
            os.close(writing)
        try:
            yield _heard(process, told, pickle.dumps((order, made / "model")))
        finally:
            _end(process)


def _heard(process: subprocess.Popen[bytes], told: IO[bytes], order: bytes) -> Iterator[tuple[str, Any]]:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died: told below
        process.stdin.write(order)
        process.stdin.flush()
    while True:
        try:
            kind, value = pickle.load(told)
        except (EOFError, pickle.UnpicklingError):
            break
        if kind == "done":
            return
        yield kind, value
    raise _died(process.wait())


def _died(code: int) -> ModelError:
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
    memory = code == -signal.SIGKILL
    return ModelError(
        f"the process that read the model ended {how}",
        why="most often the system has run out of memory" if memory else "its last lines may stand above",
        fix="give it more memory" if memory else "see whether its own framework can load the file",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, if it still runs, and let it end what it has started."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        if process.poll() is None:
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main(number: int) -> None:
    """Do what standard input orders, and tell it to the pipe `number`."""
    signal.signal(signal.SIGTERM, _stop)
    with open(number, "wb") as pipe:

        def tell(kind: str, value: Any = None) -> None:
            pickle.dump((kind, value), pipe)
            pipe.flush()

        order, out = pickle.load(sys.stdin.buffer)
        threading.Thread(target=_watch, daemon=True).start()
        last = _outcome(order, out, tell)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        tell(*last)
    os._exit(0)  # a framework takes long to leave, and what it would tidy is in a folder that is removed


def _outcome(order: Order, out: Path, tell: Callable[..., None]) -> tuple[str, Any]:
    try:
        _write(order, out, tell)
    except CloudDeployError as error:
        return "error", (_passing(error), _trace(error))
    except Exception as error:  # noqa: BLE001 (a bug, which is told as one)
        return "error", (bug(error), _trace(error))
    return "done", None


def _watch() -> None:
    """End when the process that ordered it is gone: it holds the other end of standard input."""
    os.read(0, 1)  # not by sys.stdin, whose lock an ending interpreter wants
    os.kill(os.getpid(), signal.SIGTERM)


def _write(order: Order, out: Path, tell: Callable[..., None]) -> None:
    from clouddeploy.packaging.sagemaker import sagemaker_artifact

    tell("activity", "reading the model")
    artifact = sagemaker_artifact(_model(order), compression="none")
    for warning in artifact.warnings:
        tell("warning", warning)
    tell("activity", "writing it to a folder")
    artifact.write(out)


def _model(order: Order) -> Model:
    """The model that is ordered. The workers try it, so it isn't tried here."""
    from clouddeploy.model import Model

    path, handler = order.path, order.handler
    if path.is_dir() and handler is not None:
        return Model.from_folder(path, handler=handler, check=False)
    if path.is_dir():
        from clouddeploy import config

        return config.load(path).deployment().model
    return Model.from_file(
        path, handler=handler, source=order.source, allow_pickle=order.allow_pickle, check=False
    )


def _passing(error: CloudDeployError) -> CloudDeployError:
    """`error`, or what it says, if it holds what can't be passed on."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 (whatever it holds)
        return ModelError(error.what, why=error.why, fix=error.fix)
    return error


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
