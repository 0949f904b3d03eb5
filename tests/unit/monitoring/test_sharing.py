"""Counts of several workers in files that all of them read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.monitoring import cells, families
from clouddeploy.monitoring.gathering import Counted, Gatherer
from clouddeploy.monitoring.recording import MOST_SERIES, OTHER, Recorder

LABELS = ("POST", "/predict", "m", "1", "200")
WORKER = """
import sys
from pathlib import Path
from clouddeploy.monitoring import families
from clouddeploy.monitoring.recording import Recorder
recorder = Recorder(Path(sys.argv[1]), 3)
recorder.histogram(families.ANSWERED, "POST", "/predict", "m", "1", "200").extend([0.001, 0.002])
recorder.number(families.CONNECTIONS).set(5)
recorder.number(families.GONE).add()
recorder.flush()
print("counted", flush=True)
sys.stdin.read()
"""


def worker(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate()


def test_workers_are_added_up(tmp_path: Path) -> None:
    one, two = Recorder(tmp_path, 0), Recorder(tmp_path, 1)
    for recorder in (one, two):
        recorder.histogram(families.ANSWERED, *LABELS).note(0.01)
        recorder.number(families.CONNECTIONS).set(2)
        recorder.flush()
    two.histogram(families.ANSWERED, *LABELS[:-1], "500").note(0.1)
    two.flush()
    snapshot = Gatherer(tmp_path).snapshot()
    assert snapshot.of(families.REQUESTS) == {LABELS: 2, (*LABELS[:-1], "500"): 1}
    assert snapshot.histogram(families.REQUEST_SECONDS).total == pytest.approx(0.12)
    assert snapshot.number(families.CONNECTIONS) == 4
    assert [one.number for one in snapshot.workers] == [0, 1]
    assert snapshot.number(families.UP) == 2
    one.close()
    two.close()


def test_a_killed_worker_keeps_its_counts_but_not_what_it_had_in_hand(tmp_path: Path) -> None:
    gatherer = Gatherer(tmp_path)
    process = worker(tmp_path)
    snapshot = gatherer.snapshot()
    assert [(one.number, one.process) for one in snapshot.workers] == [(3, process.pid)]
    assert snapshot.number(families.CONNECTIONS) == 5
    end(process)
    snapshot = gatherer.snapshot()
    assert snapshot.workers == []
    assert snapshot.number(families.REQUESTS) == 2
    assert snapshot.number(families.GONE) == 1
    assert families.CONNECTIONS.name not in snapshot.numbers


def test_the_next_worker_counts_on_in_the_file_of_a_dead_one(tmp_path: Path) -> None:
    for _ in range(3):
        end(worker(tmp_path))
    successor = Recorder(tmp_path, 0)
    assert len(list(tmp_path.iterdir())) == 1
    successor.histogram(families.ANSWERED, *LABELS).note(0.001)
    successor.flush()
    snapshot = Gatherer(tmp_path).snapshot()
    assert snapshot.of(families.REQUESTS) == {LABELS: 7}
    assert snapshot.of(families.CONNECTIONS) == {(): 0}
    assert [one.process for one in snapshot.workers] == [os.getpid()]
    successor.close()


def test_while_one_replaces_another_the_younger_is_told(tmp_path: Path) -> None:
    process = worker(tmp_path)
    younger = Recorder(tmp_path, 3)
    assert [one.process for one in Gatherer(tmp_path).snapshot().workers] == [os.getpid()]
    end(process)
    younger.close()


def test_a_half_written_entry_is_not_taken(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 0)
    recorder.number(families.GONE).add()
    recorder.number(families.CONNECTIONS).set(1)
    (path,) = tmp_path.iterdir()
    reading = cells.Reading(path)
    reading.refresh()
    assert len(reading.entries) == 2
    with path.open("r+b") as file:
        file.seek(cells.HEADER_BYTES + cells.ENTRY_BYTES + cells.ENTRY.size + 3)
        file.write(b"xx")
    other = cells.Reading(path)
    other.refresh()
    assert [entry.family for entry in other.entries] == [families.GONE.name]
    recorder.close()


def test_labels_without_end_are_counted_as_other(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 0)
    for number in range(MOST_SERIES + 100):
        recorder.number(families.ERRORS, f"/{number}", "", "", "not_found").add()
    snapshot = Gatherer(tmp_path).snapshot()
    values = snapshot.of(families.ERRORS)
    assert len(values) == MOST_SERIES + 1
    assert values[(OTHER,) * 4] == 100
    assert snapshot.number(families.SERIES_DROPPED) == 100
    recorder.close()


def test_a_full_file_counts_as_other(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, 0)
    for number in range(3000):
        recorder.histogram(families.ANSWERED, "GET", f"/{number}", "", "", "200").note(0.1)
        recorder.histogram(families.QUEUE_SECONDS, f"m{number}", "1").note(0.1)
    recorder.number(families.ERRORS, "x" * 2000, "", "", "not_found").add()
    recorder.flush()
    snapshot = Gatherer(tmp_path).snapshot()
    assert snapshot.number(families.REQUESTS) == 3000
    assert snapshot.histogram(families.QUEUE_SECONDS).size == 3000
    assert snapshot.of(families.ERRORS) == {(OTHER,) * 4: 1}
    recorder.close()


def test_without_room_on_the_disk_a_worker_counts_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    recorder = Recorder(blocked / "metrics", 0)
    recorder.number(families.GONE).add()
    assert "aren't shared" in caplog.text
    recorder.close()


@given(st.lists(st.floats(0, 100), max_size=50), st.lists(st.floats(0, 100), max_size=50))
def test_what_was_counted_since_is_the_difference(before: list[float], more: list[float]) -> None:
    recorder = Recorder(None)
    histogram = recorder.histogram(families.ANSWERED, *LABELS)

    def now() -> Counted:
        recorder.flush()
        entry = recorder.cells.entries[0]
        *counts, total = recorder.cells.numbers[entry.at : entry.at + families.ANSWERED.cells].tolist()
        return Counted(counts, total)

    histogram.extend(before)
    then = now()
    histogram.extend(more)
    found = now().since(then)
    assert found.size == len(more)
    assert found.total == pytest.approx(sum(more), abs=1e-9)
