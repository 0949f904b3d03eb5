"""The service's log: lines with their time, in files that are turned over before they grow large."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

MOST_BYTES = 4 << 20
OLDER = 3
LINE = 8192
NAME = "service.log"


class LogFile:
    """Written by the keeper alone.

    Args:
        folder: where the files are.
        most_bytes: of one file.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most = folder, most_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / NAME).open("a", encoding="utf-8", errors="replace")
        self._size = (folder / NAME).stat().st_size

    def write(self, source: str, text: str) -> None:
        """Append the lines of `text`, each with the time and where it comes from."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        for line in text.splitlines():
            told = f"{now} {source} {line[:LINE]}\n"
            self._size += len(told)
            self._file.write(told)
        self._file.flush()
        if self._size > self._most:
            self._turn()

    def _turn(self) -> None:
        self._file.close()
        for number in range(OLDER, 0, -1):
            older = self._folder / (f"{NAME}.{number - 1}" if number > 1 else NAME)
            if older.exists():
                older.replace(self._folder / f"{NAME}.{number}")
        self._file = (self._folder / NAME).open("a", encoding="utf-8", errors="replace")
        self._size = 0

    def close(self) -> None:
        """Write no more."""
        self._file.close()


def lines(folder: Path, *, since_s: float, limit: int) -> list[str]:
    """The last `limit` lines of the past `since_s` seconds, oldest first."""
    start = (datetime.now(UTC) - timedelta(seconds=min(since_s, 3e9))).isoformat(timespec="milliseconds")
    found = [line for line in _all(folder) if line >= start]
    return found[-limit:] if limit > 0 else []


def _all(folder: Path) -> Iterator[str]:
    names = [f"{NAME}.{number}" for number in range(OLDER, 0, -1)]
    for name in (*names, NAME):
        try:
            text = (folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        yield from text.splitlines()
