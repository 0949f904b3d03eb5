"""A model server as a process of its own, models that need nothing but numpy, and clients that never rest."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

HANDLER = """\
import pathlib

import factor


def load(model_dir):
    factor.ADD = float((pathlib.Path(model_dir) / "add.txt").read_text())


def predict(inputs):
    import late

    return inputs * factor.FACTOR + factor.ADD + late.NOTHING
"""
SIGNATURE = {
    "inputs": [{"name": "x", "dtype": "float32", "shape": [None, 2]}],
    "outputs": [{"name": "y", "dtype": "float32", "shape": [None, 2]}],
}
PATIENCE_S = 60.0
HEAD = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


def write_model(
    folder: Path, number: int, *, handler: str = HANDLER, files: Mapping[str, str] | None = None
) -> Path:
    """A packaged model in `folder` that makes ``x * number + 1000 * number`` of ``x``; appears at once.

    Its number stands in a module, in a file and in the manifest: what mixes two versions gives it away.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".model-", dir=folder.parent))
    app = made / "code" / "app"
    app.mkdir(parents=True)
    (app / "handler.py").write_text(handler)
    (app / "factor.py").write_text(f"FACTOR = {number}\nADD = 0\n")
    (app / "late.py").write_text("NOTHING = 0\n")
    (made / "add.txt").write_text(str(1000 * number))
    for name, text in (files or {}).items():
        (made / name).write_text(text)
    manifest = {
        "version": 1,
        "format": "folder",
        "weights": "",
        "handler": "handler.py",
        "model": f"release-{number}",
        "signature": SIGNATURE,
    }
    (made / "clouddeploy.json").write_text(json.dumps(manifest))
    if folder.exists():
        old = folder.with_name(f".old-{folder.name}")
        folder.rename(old)
        made.rename(folder)
        shutil.rmtree(old)
    else:
        made.rename(folder)
    return folder


@dataclass
class Answered:
    """An HTTP answer.

    Args:
        status: of it.
        headers: by lower-case name.
        body: parsed JSON, or the bytes where it is none.
    """

    status: int
    headers: dict[str, str]
    body: Any


class ServerProcess:
    """``python -m clouddeploy.server`` until the block ends.

    Args:
        models: folder to serve.
        ready: wait until every worker is.
        environ: further environment variables.
        settings: of the server.
    """

    def __init__(
        self,
        models: Path | None,
        *,
        ready: bool = True,
        environ: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        command = [sys.executable, "-m", "clouddeploy.server", *([str(models)] if models else [])]
        for name, value in {"port": 0, "settle_s": 0.1, "watch_s": 0.1, **settings}.items():
            command += ["--set", f"{name}={value}"]
        self.lines: list[str] = []
        self.url = ""
        self._ready = threading.Event()
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environ or {})}
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if ready:
            self.wait_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            found = re.fullmatch(r"serving at (\S+)", line.strip())
            if found:
                self.url = found[1]
                self._ready.set()
        self._ready.set()

    def wait_ready(self) -> None:
        """Return when every worker is ready.

        Raises:
            RuntimeError: it ended instead; with what it wrote.
        """
        if not self._ready.wait(PATIENCE_S) or not self.url:
            raise RuntimeError("the server didn't start:\n" + "\n".join(self.lines))

    def stop(self) -> int:
        """End it in its own good time; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(PATIENCE_S)
        if self.process.stderr is not None and not self._reader.is_alive():
            self.process.stderr.close()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def workers(self) -> set[int]:
        """Process ids of the workers that live now."""
        found = set()
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                rest = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while we looked
            if int(rest[1]) == self.process.pid and rest[0] != "Z":
                found.add(int(path.parent.name))
        return found

    def call(
        self, path: str, value: Any = None, *, method: str = "", headers: Mapping[str, str] | None = None
    ) -> Answered:
        """Ask it: a POST of `value` as JSON, or a GET without one."""
        data = None if value is None else json.dumps(value).encode()
        request = Request(f"{self.url}{path}", data, method=method or ("POST" if data else "GET"))
        for name, text in {"content-type": "application/json", **(headers or {})}.items():
            request.add_header(name, text)
        try:
            with urlopen(request, timeout=PATIENCE_S) as answer:
                return _answered(answer.status, answer.headers, answer.read())
        except HTTPError as error:
            with error:
                return _answered(error.code, error.headers, error.read())

    def version(self, headers: Mapping[str, str] | None = None) -> str:
        """The version that answers ``/predict`` now."""
        return self.call("/predict", {"input": [1, 2]}, headers=headers).headers["x-clouddeploy-version"]


def _answered(status: int, headers: Any, body: bytes) -> Answered:
    kind = headers.get_content_type()
    value = json.loads(body) if kind == "application/json" and body else body
    return Answered(status, {name.lower(): text for name, text in headers.items()}, value)


def until(condition: Any, what: str, patience_s: float = PATIENCE_S) -> Any:
    """The first true value of `condition`.

    Raises:
        AssertionError: it stayed false; with `what`.
    """
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"it never happened that {what}")


@dataclass
class Clients:
    """Clients that ask again as soon as they are answered, and check each answer to the last digit.

    Args:
        url: of the server.
        count: of connections.

    Attributes:
        right: correct answers by version.
        wrong: what was answered otherwise, or not at all.
    """

    url: str
    count: int = 8
    right: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _stop: bool = False
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop = True
        assert self._thread is not None
        self._thread.join(PATIENCE_S)

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(number) for number in range(self.count)))

    async def _one(self, number: int) -> None:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        turn = number
        while not self._stop and len(self.wrong) < 100:
            turn += 1
            try:
                if connection is None:
                    connection = await asyncio.open_connection(host, int(port))
                keep = await asyncio.wait_for(self._ask(*connection, turn % 97), PATIENCE_S)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.wrong.append(f"lost: {type(error).__name__} {error}")
                keep = False
            if not keep and connection is not None:
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, x: int) -> bool:
        body = b'{"input":[%d,1]}' % x
        writer.write(HEAD % len(body) + body)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        answer = await reader.readexactly(int(headers["content-length"]))
        self._check(x, status, headers, answer)
        return headers.get("connection") != "close"

    def _check(self, x: int, status: str, headers: Mapping[str, str], body: bytes) -> None:
        version = headers.get("x-clouddeploy-version", "")
        release = headers.get("x-clouddeploy-model", "").removeprefix("release-")
        if " 200 " not in status or not release.isdecimal():
            self.wrong.append(f"{status}: {body[:200]!r}")
            return
        number = int(release)
        if json.loads(body) != {"prediction": [x * number + 1000 * number, number + 1000 * number]}:
            self.wrong.append(f"version {version}, release {number}: {x} made {body!r}")
            return
        self.right[version] += 1
