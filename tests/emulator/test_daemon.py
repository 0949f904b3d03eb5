"""The daemon of a user: started once, found again, ended without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from clouddeploy import emulator
from clouddeploy.emulator.connection import Connection, log_file, state_file
from clouddeploy.errors import CloudDeployError, SpecError
from tests.emulator.test_processes import alive, until


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own; no daemon survives the test."""
    monkeypatch.setenv("CLOUDDEPLOY_STATE_DIR", str(tmp_path))
    yield tmp_path
    emulator.stop()


def test_start_answers_and_is_found_and_stop_leaves_nothing(folder: Path) -> None:
    assert emulator.running() is None
    told: list[str] = []
    connection = emulator.start(progress=told.append)
    assert "answers at" in told[-1]
    assert emulator.running() == emulator.connect() == emulator.start() == connection
    client = boto3.client(
        "s3",
        region_name=connection.region,
        endpoint_url=connection.env()["AWS_ENDPOINT_URL"],
        aws_access_key_id=connection.access_key_id,
        aws_secret_access_key=connection.secret_access_key,
    )
    client.create_bucket(Bucket="bucket")
    pid = json.loads(state_file().read_text())["pid"]
    assert emulator.stop()
    assert not alive(pid)
    assert emulator.running() is None
    assert not emulator.stop()
    assert {p.name for p in folder.iterdir()} <= {"emulator.lock", log_file().name}


def test_two_starts_at_once_give_one_emulator() -> None:
    found: list[Connection] = []
    threads = [threading.Thread(target=lambda: found.append(emulator.start())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1


def test_a_state_file_of_a_dead_daemon_is_noticed() -> None:
    first = emulator.start()
    pid = json.loads(state_file().read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    assert emulator.running() is None
    second = emulator.start()
    assert second.url != first.url or emulator.running() == second


def test_a_stranger_on_the_daemons_port_is_not_taken_for_it(folder: Path) -> None:
    with emulator.Emulator() as other:
        for address in (other.url, "http://127.0.0.1:9"):
            state_file().write_text(json.dumps({"pid": os.getpid(), "url": address, "identity": "mine"}))
            assert emulator.running() is None
            assert not emulator.stop()
        assert other.state()["url"] == other.url


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_a_broken_state_file_counts_for_nothing(folder: Path, text: str) -> None:
    state_file().write_text(text)
    assert emulator.running() is None


def test_a_port_that_is_taken_is_told(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CloudDeployError) as caught:
        emulator.start(port=taken.getsockname()[1])
    assert "can't listen on port" in caught.value.why


def test_a_wrong_setting_is_told_with_what_is_allowed() -> None:
    with pytest.raises(SpecError, match="known: creating_s"):
        emulator.Settings().changed({"creatingness": 1})
    for wrong in ({"max_processes": 0}, {"creating_s": -1}, {"idle_stop_s": "soon"}, {"request_limit": 1.5}):
        with pytest.raises(SpecError, match="Settings"):
            emulator.Settings().changed(wrong)


def test_the_environment_points_every_aws_client_at_it() -> None:
    env = Connection("http://127.0.0.1:1").env()
    assert env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert set(env) == {
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
    }
