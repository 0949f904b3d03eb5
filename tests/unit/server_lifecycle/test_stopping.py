"""A stop ends every worker in bounded time, whatever its model does, and tells what it cut."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from clouddeploy.server import container, seats
from clouddeploy.testing.served import ServerProcess, until, write_model

SLOW = "import time\n\n\ndef predict(inputs):\n    time.sleep(0.05)\n"
HANGS = {
    "thread": SLOW + "    open(__file__ + '.told', 'w')\n    while True:\n        pass\n",
    "loop": "def predict(inputs):\n    open(__file__ + '.told', 'w')\n    while True:\n        pass\n",
    "lock": "import re\n\n\ndef predict(inputs):\n    open(__file__ + '.told', 'w')\n"
    "    re.match('(a+)+$', 'a' * 64 + 'b')\n",
}
SLOWEST_S = 8.0
"""Far more than `drain_s` and the margin: this machine may be busy."""


def ask(server: ServerProcess) -> None:
    host = server.url.removeprefix("http://")
    try:
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("POST", "/predict", b'{"input":[1,1]}', {"content-type": "application/json"})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return


def hanging(folder: Path, what: str, drain_s: float) -> ServerProcess:
    """A server whose model answers the warm-up and hangs at the first request."""
    handler = HANGS[what].replace("    open", "    if inputs[0, 0] == 0:\n        return inputs\n    open", 1)
    server = ServerProcess(write_model(folder / "model", 1, handler=handler), drain_s=drain_s)
    threading.Thread(target=ask, args=(server,), daemon=True).start()
    until(lambda: list(folder.rglob("*.told")), "the model hangs")
    return server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_a_model_that_loops_in_its_thread_and_tells_what_was_cut(
    tmp_path: Path, number: signal.Signals
) -> None:
    with hanging(tmp_path, "thread", drain_s=0.5) as server:
        began = time.monotonic()
        server.signal(number)
        assert server.process.wait(60) == 0
        assert time.monotonic() - began < SLOWEST_S
        server.stop()
        assert "unanswered requests that are cut after 0.5 s: 1" in "\n".join(server.lines)


@pytest.mark.parametrize("what", ["loop", "lock"])
def test_a_stop_kills_a_worker_whose_model_lets_nothing_else_run_and_says_so(
    tmp_path: Path, what: str
) -> None:
    with hanging(tmp_path, what, drain_s=0.5) as server:
        (worker,) = server.workers()
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.process.wait(60) == 1
        assert time.monotonic() - began < SLOWEST_S
        server.stop()
        told = "\n".join(server.lines)
        assert f"worker process {worker} hasn't ended" in told
        assert "killed" in told


def test_ctrl_c_twice_ends_at_once_what_hangs(tmp_path: Path) -> None:
    with hanging(tmp_path, "lock", drain_s=600) as server:
        server.signal(signal.SIGINT)
        until(lambda: [line for line in server.lines if "Ctrl-C again" in line], "how to hurry is told")
        server.signal(signal.SIGINT)
        assert server.process.wait(60) == 0, "as it was wished"


def test_in_a_container_all_is_over_before_the_platform_kills() -> None:
    assert container.DRAIN_S + seats.ENDING_S < 10


def test_a_stop_without_requests_tells_of_none(tmp_path: Path) -> None:
    with ServerProcess(write_model(tmp_path / "model", 1)) as server:
        assert server.stop() == 0
        assert not [line for line in server.lines if "cut" in line]


def test_the_command_ends_as_a_user_sees_it(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", 1)
    command = [sys.executable, "-m", "clouddeploy", "serve", str(model), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        while "http://" not in first:
            assert first, "it ended"
            first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 0
    assert "Traceback" not in rest
    assert "KeyboardInterrupt" not in rest
