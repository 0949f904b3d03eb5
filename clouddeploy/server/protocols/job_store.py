"""Jobs as files, so that every worker of the server answers for each and none is lost with a worker.

A job is a folder: ``head.json`` and ``body`` as they came, ``claim`` that a worker holds locked (flock) while
it works on it, ``tries`` with a byte for each beginning, ``result`` and ``end.json`` when it is over. A lock
goes with the process that holds it, so the job of a worker that died is free for the next one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clouddeploy.runtime.errors import WireError

ID = re.compile(r"[0-9a-f]{16}-[A-Za-z0-9_-]{22}")
HEAD, BODY, CLAIM, TRIES = "head.json", "body", "claim", "tries"
RESULT, END, HOOK = "result", "end.json", "webhook.json"
UNFINISHED_S = 3600.0
"""A folder that nobody made into a job within this was left by a worker that died."""
FULL = "no more jobs can be kept"


@dataclass(frozen=True)
class Head:
    """What was asked.

    Args:
        id: of the job; ids sort by age.
        created: when, in seconds since 1970.
        content_type: of the body.
        accept: media types for the result.
        model: name of it; None for the server's default.
        version: of the model; None for the one that answers at the time.
        owner: whose key asked; empty without keys.
        webhook: URL to be told of the end; empty for none.
        request_id: of the request.
    """

    id: str
    created: float
    content_type: str
    accept: str
    model: str | None
    version: str | None
    owner: str
    webhook: str
    request_id: str


@dataclass(frozen=True)
class End:
    """How a job ended.

    Args:
        state: ``done``, ``failed`` or ``cancelled``.
        finished: when, in seconds since 1970.
        status: HTTP status that the result would have had.
        content_type: of the result.
    """

    state: str
    finished: float
    status: int = 200
    content_type: str = "application/json"


class JobStore:
    """The jobs of one server.

    Args:
        folder: where they are; shared by its workers.
        most: jobs at the most.
        most_bytes: of their bodies and results.
        expiry_s: seconds that an ended one is kept.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most: int,
        most_bytes: int,
        expiry_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._most, self._most_bytes = folder, most, most_bytes
        self._expiry_s, self._clock = expiry_s, clock
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def new_id(self) -> str:
        """An id that nobody can guess, and that is later in order than those before it."""
        return f"{int(self._clock() * 1e6):016x}-{secrets.token_urlsafe(16)}"

    def add(self, head: Head, body: bytes) -> None:
        """Keep a job.

        Raises:
            WireError: ``overloaded``: there are too many, or no room on the disk.
        """
        with self._admission():
            self.sweep()
            count, size = self._usage()
            if count >= self._most or size + len(body) > self._most_bytes:
                what = f"{count} jobs with {size} bytes are kept"
                raise WireError("overloaded", f"{FULL}: {what}", "fetch and delete results, or wait")
            making = self._folder / f".{head.id}"
            try:
                making.mkdir(mode=0o700)
                (making / BODY).write_bytes(body)
                (making / HEAD).write_text(json.dumps(asdict(head)), "utf-8")
                (making / CLAIM).touch()
                making.rename(self._folder / head.id)
            except OSError as error:
                shutil.rmtree(making, ignore_errors=True)
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise WireError("overloaded", f"{FULL}: the disk is full", "try again later") from error
                raise

    @contextlib.contextmanager
    def _admission(self) -> Iterator[None]:
        with (self._folder / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _usage(self) -> tuple[int, int]:
        size = count = 0
        for job in self.ids():
            count += 1
            for name in (BODY, RESULT):
                with contextlib.suppress(OSError):  # it has no result yet, or was deleted just now
                    size += (self._folder / job / name).stat().st_size
        return count, size

    def ids(self) -> list[str]:
        """Every job, oldest first."""
        return sorted(name for name in os.listdir(self._folder) if ID.fullmatch(name))

    def sweep(self) -> None:
        """Remove what is kept for long enough, and what a dead worker left half made."""
        now = self._clock()
        for job in self.ids():
            end = self.end(job)
            if end is not None and end.finished + self._expiry_s < now:
                self.remove(job)
        for name in os.listdir(self._folder):
            if name.startswith(".") and ID.fullmatch(name[1:]):
                path = self._folder / name
                with contextlib.suppress(OSError):  # made into a job meanwhile
                    if path.stat().st_mtime + UNFINISHED_S < now:
                        shutil.rmtree(path, ignore_errors=True)

    def remove(self, job: str) -> None:
        """Forget a job."""
        path = self._folder / job
        gone = self._folder / f".gone-{job}"
        with contextlib.suppress(OSError):  # another worker was quicker
            path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def head(self, job: str) -> Head:
        """What was asked.

        Raises:
            WireError: ``not_found``.
        """
        found = self._read(job, HEAD) if ID.fullmatch(job) else None
        if found is None:
            raise WireError("not_found", f"there is no job {job[:60]!r}", "it never was, or is forgotten")
        return Head(**json.loads(found))

    def body(self, job: str) -> bytes:
        """The request's body; empty when the job was removed just now."""
        return self._read(job, BODY) or b""

    def end(self, job: str) -> End | None:
        """How it ended; None when it hasn't."""
        found = self._read(job, END)
        return None if found is None else End(**json.loads(found))

    def result(self, job: str) -> bytes:
        """What it gave."""
        return self._read(job, RESULT) or b""

    def tries(self, job: str) -> int:
        """How often it was begun."""
        return len(self._read(job, TRIES) or b"")

    def hook(self, job: str) -> dict[str, Any]:
        """How far telling its end has come; empty before the first time."""
        found: dict[str, Any] = json.loads(self._read(job, HOOK) or b"{}")
        return found

    def _read(self, job: str, name: str) -> bytes | None:
        try:
            return (self._folder / job / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def claim(self, job: str) -> int | None:
        """Take a job to work on it: a descriptor to be closed afterwards; None when another has it."""
        try:
            descriptor = os.open(self._folder / job / CLAIM, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def begin(self, job: str) -> int:
        """Note that it is begun; the how manieth time."""
        with (self._folder / job / TRIES).open("ab") as file:
            file.write(b".")
        return self.tries(job)

    def put_back(self, job: str) -> None:
        """Note that it wasn't the job's fault that it didn't end."""
        with contextlib.suppress(OSError):  # it was removed
            os.truncate(self._folder / job / TRIES, max(0, self.tries(job) - 1))

    def finish(self, job: str, end: End, result: bytes = b"") -> bool:
        """End a job; False when it has ended already, or is forgotten."""
        folder = self._folder / job
        mine = folder / f".{secrets.token_hex(8)}"
        try:
            if end.state != "cancelled":
                self._replace(folder / RESULT, result)
            mine.write_text(json.dumps(asdict(end)), "utf-8")
            os.link(mine, folder / END)
        except (FileExistsError, FileNotFoundError):
            if end.state != "cancelled":
                (folder / RESULT).unlink(missing_ok=True)
            return False
        finally:
            mine.unlink(missing_ok=True)
        return True

    def note_hook(self, job: str, value: dict[str, Any]) -> None:
        """Keep how far telling its end has come."""
        with contextlib.suppress(FileNotFoundError):  # it was removed
            self._replace(self._folder / job / HOOK, json.dumps(value).encode())

    def _replace(self, path: Path, data: bytes) -> None:
        making = path.with_name(f".{secrets.token_hex(8)}")
        try:
            making.write_bytes(data)
            making.replace(path)
        finally:
            making.unlink(missing_ok=True)
