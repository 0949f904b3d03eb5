from __future__ import annotations

from pathlib import Path

from clouddeploy.providers.local.logfile import LogFile, lines


def test_the_last_lines_come_back_oldest_first_with_their_source(tmp_path: Path) -> None:
    log = LogFile(tmp_path)
    log.write("keeper", "one\ntwo")
    log.write("3f9c", "three")
    log.close()
    found = lines(tmp_path, since_s=60, limit=2)
    assert [line.split(" ", 1)[1] for line in found] == ["keeper two", "3f9c three"]
    assert lines(tmp_path, since_s=60, limit=0) == []
    assert lines(tmp_path, since_s=-60, limit=9) == []
    assert lines(tmp_path / "absent", since_s=60, limit=9) == []


def test_the_log_never_grows_beyond_its_bounds(tmp_path: Path) -> None:
    log = LogFile(tmp_path, most_bytes=2000)
    for number in range(400):
        log.write("x", f"line {number} {'y' * 50}")
    log.write("x", "z" * 100_000)
    log.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 20_000
    assert len(list(tmp_path.iterdir())) <= 4
