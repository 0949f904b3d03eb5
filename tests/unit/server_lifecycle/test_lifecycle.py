"""How a server begins, ends, and survives its workers: real processes, and requests that count."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clouddeploy.testing.served import Clients, ServerProcess, until, write_model

CRASHES = """\
import ctypes


def predict(inputs):
    if inputs[0, 0] == 666:
        ctypes.string_at(0)
    return inputs + 1000
"""
SLOW = """\
import pathlib
import time


def load(model_dir):
    gate = pathlib.Path(model_dir).parent / "gate"
    while not gate.exists():
        time.sleep(0.02)


def predict(inputs):
    if inputs[0, 0] > 0:
        time.sleep(float(inputs[0, 0]))
    return inputs
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", 1)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    return write_model(tmp_path / "slow", 1, handler=SLOW)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_while_a_model_is_loaded_the_server_is_alive_but_not_ready(slow: Path, free_port: int) -> None:
    with ServerProcess(slow, ready=False, port=free_port) as server:
        server.url = f"http://127.0.0.1:{free_port}"

        def health() -> int:
            try:
                return server.call("/health").status
            except OSError:
                return 0

        until(lambda: health() == 200, "it lives")
        ready = server.call("/ready")
        assert (ready.status, ready.body["error"]["code"]) == (503, "not_ready")
        assert ready.headers["retry-after"]
        predicted = server.call("/predict", {"input": [0, 1]})
        assert (predicted.status, predicted.body["error"]["code"]) == (503, "not_ready")
        (slow.parent / "gate").touch()
        server.wait_ready()
        assert server.call("/ready").status == 200
        assert server.call("/predict", {"input": [0, 1]}).body == {"prediction": [0.0, 1.0]}


def test_a_stop_while_a_model_is_loaded_ends_at_once(slow: Path) -> None:
    with ServerProcess(slow, ready=False, workers=2) as server:
        until(lambda: len(server.workers()) == 2, "the workers start")
        assert server.stop() == 0


def test_at_the_end_what_was_accepted_is_answered_and_nothing_is_left(slow: Path) -> None:
    (slow.parent / "gate").touch()
    answers: list[int] = []
    with ServerProcess(slow, workers=2) as server:
        workers = server.workers()
        asking = [
            threading.Thread(target=lambda: answers.append(server.call("/predict", {"input": [1, 1]}).status))
            for _ in range(6)
        ]
        for thread in asking:
            thread.start()
        until(lambda: _connections(server.url) >= 6, "the requests arrived")
        assert server.stop() == 0
        for thread in asking:
            thread.join()
        assert answers == [200] * 6
        assert not [pid for pid in workers if alive(pid)]


def _connections(url: str) -> int:
    """Connections to the server's port, taken by it or still waiting for that."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


def test_a_request_that_takes_longer_than_the_drain_is_cut(slow: Path) -> None:
    (slow.parent / "gate").touch()
    with ServerProcess(slow, drain_s=0.3) as server:
        failed: list[str] = []

        def ask() -> None:
            try:
                failed.append(str(server.call("/predict", {"input": [30, 1]}).status))
            except OSError as error:
                failed.append(type(error).__name__)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: _connections(server.url), "the request arrived")
        began = time.monotonic()
        assert server.stop() == 1
        assert time.monotonic() - began < 20
        thread.join()
        assert failed != ["200"]


def test_a_second_signal_ends_it_at_once(slow: Path) -> None:
    (slow.parent / "gate").touch()
    with ServerProcess(slow) as server:
        thread = threading.Thread(target=_ask_in_vain, args=(server,))
        thread.start()
        until(lambda: _connections(server.url), "the request arrived")
        server.signal(signal.SIGINT)
        time.sleep(0.1)
        server.signal(signal.SIGINT)
        assert server.process.wait(20) == 0
        thread.join()


def _ask_in_vain(server: ServerProcess) -> None:
    with pytest.raises(OSError):  # noqa: PT012  # the connection is cut, in one way or another
        server.call("/predict", {"input": [30, 1]})
        raise ConnectionError("it was refused")


def test_sighup_replaces_the_workers_and_no_request_is_lost(model: Path) -> None:
    with ServerProcess(model, workers=2) as server, Clients(server.url, 6) as clients:
        before = server.workers()
        server.signal(signal.SIGHUP)
        until(lambda: not server.workers() & before and len(server.workers()) == 2, "the workers are new")
        write_model(model, 2)
        before = server.workers()
        server.signal(signal.SIGHUP)
        until(lambda: not server.workers() & before and len(server.workers()) == 2, "they are new again")
        assert server.call("/predict", {"input": [1, 1]}).headers["x-clouddeploy-model"] == "release-2"
    assert clients.wrong == []
    assert sum(clients.right.values()) > 0


def test_a_reload_that_fails_leaves_the_old_workers_serving(model: Path) -> None:
    with ServerProcess(model, workers=2) as server, Clients(server.url, 4) as clients:
        before = server.workers()
        write_model(model, 2, handler="raise ValueError('spoilt')\n")
        server.signal(signal.SIGHUP)
        until(lambda: [line for line in server.lines if "ended with code 3" in line], "the new one fails")
        assert before <= server.workers()
        write_model(model, 2)
        until(lambda: not server.workers() & before and len(server.workers()) == 2, "the mended one is taken")
    assert clients.wrong == []


@pytest.fixture
def crashing(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(write_model(tmp_path / "model", 1, handler=CRASHES), workers=2) as server:
        yield server


def test_a_worker_that_segfaults_is_replaced_and_meanwhile_the_others_serve(crashing: ServerProcess) -> None:
    before = crashing.workers()
    for _ in range(3):
        with pytest.raises(OSError):
            crashing.call("/predict", {"input": [666, 1]})
        # Also the connections that the kernel gives to the dead worker's socket are answered.
        statuses = [crashing.call("/predict", {"input": [1, 1]}).status for _ in range(40)]
        assert statuses == [200] * 40
    until(lambda: len(crashing.workers()) == 2, "the dead are replaced")
    assert crashing.workers() != before
    assert [line for line in crashing.lines if "ended by SIGSEGV" in line]


def test_the_only_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with ServerProcess(write_model(tmp_path / "model", 1, handler=CRASHES)) as server:
        with pytest.raises(OSError):
            server.call("/predict", {"input": [666, 1]})
        until(lambda: server.call("/predict", {"input": [1, 1]}).status == 200, "another one serves")


def test_a_worker_that_is_asked_to_end_is_replaced_before_it_is_gone(crashing: ServerProcess) -> None:
    with Clients(crashing.url, 4) as clients:
        clients._check = lambda *_: None  # type: ignore[method-assign]
        victim = min(crashing.workers())
        os.kill(victim, signal.SIGTERM)
        until(lambda: victim not in crashing.workers() and len(crashing.workers()) == 2, "it is replaced")
    assert clients.wrong == []


def test_when_the_supervisor_is_killed_the_workers_end(model: Path) -> None:
    with ServerProcess(model, workers=2) as server:
        workers = server.workers()
        server.process.kill()
        server.process.wait()
        until(lambda: not [pid for pid in workers if alive(pid)], "the workers end")


def test_a_worker_whose_loop_is_stuck_ends_without_its_supervisor(tmp_path: Path) -> None:
    stuck = "def predict(inputs):\n    while inputs[0, 0] == 666:\n        pass\n    return inputs\n"
    with ServerProcess(write_model(tmp_path / "m", 1, handler=stuck), drain_s=0) as server:
        thread = threading.Thread(target=_ask_in_vain_for, args=(server, 666))
        thread.start()
        until(lambda: _connections(server.url), "the request arrived")
        workers = server.workers()
        server.process.kill()
        server.process.wait()
        until(lambda: not [pid for pid in workers if alive(pid)], "the worker ends")
        thread.join()


def _ask_in_vain_for(server: ServerProcess, x: int) -> None:
    with pytest.raises(OSError):
        server.call("/predict", {"input": [x, 1]})


def test_a_model_that_cant_be_loaded_ends_the_server_with_the_end_of_its_trace(tmp_path: Path) -> None:
    broken = "def load(d):\n    open('/nowhere/weights')\n\n\ndef predict(x):\n    return x\n"
    model = write_model(tmp_path / "model", 1, handler=broken)
    with ServerProcess(model, ready=False, workers=2) as server:
        assert server.process.wait(60) == 2
        server.stop()
        told = "\n".join(server.lines)
        assert "error: the model can't be loaded" in told
        assert "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/weights'" in told
        assert "open('/nowhere/weights')" in told
        assert told.count("Traceback") <= 1


def test_a_port_that_is_in_use_is_told(model: Path) -> None:
    with ServerProcess(model, workers=2) as server:
        port = server.url.rpartition(":")[2]
        with ServerProcess(model, ready=False, port=port, workers=2) as second:
            assert second.process.wait(60) == 2
            second.stop()
            assert f"the server can't listen on 127.0.0.1:{port}" in "\n".join(second.lines)
        assert server.call("/ready").status == 200


def test_a_folder_that_isnt_there_is_told(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "gone", ready=False) as server:
        assert server.process.wait(60) == 5
