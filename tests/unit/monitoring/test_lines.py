"""Lines of the access log."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.monitoring.access_log import BLOCK, WIDTH, AccessLog, Writer, rest
from clouddeploy.monitoring.lines import Lines

END = rest("POST", "/predict", "/predict", 200, {"model": "m", "version": "1"})
OTHER_END = rest("GET", "", "/nothing/ö", 404, {})
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
ANSWERS = st.tuples(
    st.floats(-3.0, 3.0),
    st.floats(0, 1e5),
    IDS,
    *(st.integers(0, 5000), st.integers(0, 2**40), st.integers(0, 1500)),
    st.sampled_from(("127.0.0.1", "::1", "", 'a"b')),
    st.sampled_from((END, OTHER_END)),
)


def told(*answers: tuple[Any, ...]) -> list[dict[str, Any]]:
    """What the lines of answers tell."""
    values = [value for answer in answers for value in answer]
    text = Lines().of(values)
    assert text.endswith(b"\n")
    return [json.loads(line) for line in text.decode("ascii").splitlines()]


@given(st.lists(ANSWERS, min_size=1, max_size=20))
def test_every_line_tells_what_its_answer_was(answers: list[tuple[Any, ...]]) -> None:
    now, clock = time.time(), time.perf_counter()
    answers = [(clock + answer[0], *answer[1:]) for answer in sorted(answers, key=lambda one: one[0])]
    lines = told(*answers)
    assert len(lines) == len(answers)
    for line, (end, took, *same, rest_of_it) in zip(lines, answers, strict=True):
        at = datetime.strptime(line.pop("time"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        assert abs(at.timestamp() - (now + end - clock)) < 1
        assert abs(line.pop("ms") - took * 1000) <= 0.0006 + took * 1e-9
        names = ("id", "batch", "bytes_in", "bytes_out", "client")
        assert [line.pop(name) for name in names] == same
        assert line == json.loads(b'{"method":' + rest_of_it + b"}")


def test_answers_that_are_alike_have_no_spaces_in_their_lines() -> None:
    clock = time.perf_counter()
    text = Lines().of([clock, 0.0005, "a-1", 1, 29, 47, "127.0.0.1", END] * 3)
    assert b" " not in text
    assert text.count(b"\n") == 3


def test_ids_of_one_length_that_look_like_several_stay_apart() -> None:
    clock = time.perf_counter()
    for ids in (['a"', '"b'], ["a\\", "bc"], ['""', "ab"], ["a", '""'], ["abc", "d", "ef"]):
        answers = [(clock, 0.001, one, 1, 1, 1, "", END) for one in ids]
        assert [line["id"] for line in told(*answers)] == ids


def test_lines_are_made_a_block_at_a_time_and_all_are_written_at_the_end(tmp_path: Path) -> None:
    dropped: list[int] = []
    log = AccessLog(tmp_path / "log", dropped.append)
    count = 2 * BLOCK // WIDTH + 7
    for number in range(count):
        log.values.extend((time.perf_counter(), 0.001, f"id-{number}", 1, 2, 3, "127.0.0.1", END))
    log.make()
    assert len(log.values) == WIDTH * count - BLOCK
    log.write()
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert [line["id"] for line in lines] == [f"id-{number}" for number in range(count)]
    assert not dropped


def test_a_reader_that_takes_a_little_at_a_time_gets_everything() -> None:
    reading, writing = os.pipe()
    writer = Writer(Path(f"/dev/fd/{writing}"), lambda _: None)
    blocks = [b"%d" % number * 70_000 + b"\n" for number in range(9)]
    got: list[bytes] = []

    def read() -> None:
        while data := os.read(reading, 4099):
            got.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    writer.write(blocks[:5])
    writer.write(blocks[5:])
    writer.close()
    os.close(writing)
    reader.join(20)
    os.close(reading)
    assert b"".join(got) == b"".join(blocks)
