from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from clouddeploy.providers.local.processes import (
    COPY,
    SERVICE,
    cpu_seconds,
    identity,
    is_same,
    kill_marked,
    marked,
    send,
)

SLEEP = [sys.executable, "-c", "import time; sum(range(5_000_000)); print(flush=True); time.sleep(60)"]


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    token = uuid.uuid4().hex
    process = subprocess.Popen(SLEEP, env={**os.environ, COPY: token}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with process:
        yield process, token
        process.kill()


def test_a_process_is_itself_only_with_its_own_start_and_boot(
    child: tuple[subprocess.Popen[bytes], str],
) -> None:
    known = identity(child[0].pid)
    assert is_same(known)
    assert not is_same({**known, "started": "1"})
    assert not is_same({**known, "boot": "another"})
    assert not is_same({})


def test_no_signal_reaches_a_process_that_only_has_the_number(
    child: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, _ = child
    assert not send({**identity(process.pid), "started": "1"}, signal.SIGKILL)
    assert process.poll() is None
    assert send(identity(process.pid), signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not send(identity(process.pid), signal.SIGKILL)


def test_processes_are_found_and_killed_by_their_token_alone(
    child: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, token = child
    assert marked(COPY, token) == [process.pid]
    assert marked(SERVICE, token) == []
    assert cpu_seconds(token) > 0
    assert kill_marked(COPY, "") == 0
    assert kill_marked(COPY, token) == 1
    assert process.wait() == -signal.SIGKILL
    assert marked(COPY, token) == []
