"""A server's processes: started, waited for, measured, ended."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.models import Workload
from benchmarks.serving.servers import Server, Setting

PORTS = 10
"""Free ports in a row that a server may use from its own on."""
START_S = 120.0


class DidNotStart(Exception):
    """A server that wasn't ready in time, with its last lines."""


@dataclass(frozen=True)
class Running:
    """A server that is ready.

    Args:
        server: which.
        port: where.
        process: its first; all others are in its session.
        start_s: seconds from the command to the first good answer.
    """

    server: Server
    port: int
    process: subprocess.Popen[bytes]
    start_s: float

    @property
    def url(self) -> str:
        """What is asked."""
        return f"http://127.0.0.1:{self.port}{self.server.path}"

    def rss_mb(self) -> float:
        """Resident memory of all its processes; shared pages count once for each, as `ps` has it."""
        return sum(_rss_mb(pid) for pid in descendants(self.process.pid))


@contextmanager
def serving(server: Server, workload: Workload, workers: int, weights: Path) -> Iterator[Running]:
    """The server, ready to predict; ended afterwards with all its processes.

    Raises:
        CannotInstall: it can't be had on this machine.
        DidNotStart: it wasn't ready in time.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        setting = Setting(workload, workers, free_ports(), folder, weights)
        start = server.start(setting)
        log = folder / "server.log"
        with log.open("wb") as out:
            began = time.monotonic()
            process = subprocess.Popen(
                start.command,
                env=dict(start.environ),
                cwd=start.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                _wait(server, workload, setting.port, process, log)
                yield Running(server, setting.port, process, time.monotonic() - began)
            finally:
                end(process)


def _wait(server: Server, workload: Workload, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    body = b"" if server.method == "GET" else server.body(workload)
    told = "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        ready, told = _ask("GET", server.ready_port(port), server.ready, b"", server.content_type)
        if ready:
            ready, told = _ask(server.method, port, server.path, body, server.content_type)
        if ready:
            return
        time.sleep(0.05)
    tail = log.read_text("utf-8", "replace")[-800:]
    raise DidNotStart(f"{server.name}: {told}; its last lines: {tail}")


def _ask(method: str, port: int, path: str, body: bytes, kind: str) -> tuple[bool, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body or None, {"content-type": kind} if body else {})
        answer = connection.getresponse()
        text = answer.read()[:200]
    except (OSError, http.client.HTTPException) as error:
        return False, repr(error)
    finally:
        connection.close()
    return answer.status == 200, f"{path} answered {answer.status} {text!r}"


def free_ports() -> int:
    """The first of `PORTS` free ports in a row."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        if first + PORTS < 65_536 and all(_is_free(first + n) for n in range(PORTS)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def descendants(pid: int) -> list[int]:
    """A process and everything that it started, by the parents that /proc names."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue  # it ended while we looked
        children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def _rss_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, then stop what is left of it."""
    every = descendants(process.pid)
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in every[1:]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
