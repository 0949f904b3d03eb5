"""A data plane of the module's own, sources as zips, and a log that can be read."""

from __future__ import annotations

import os
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.emulator.google.plane import Built, Revisions, RevisionSpec
from clouddeploy.emulator.google.plane.framework import prepare
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.settings import Settings

WAIT_S = 20.0
ECHO = """
import os, sys, time
print("loaded", file=sys.stderr)
def predict(request):
    time.sleep(float(request.args.get("sleep", 0)))
    while "until" in request.args and not os.path.exists(request.args["until"]):
        time.sleep(0.02)
    if "die" in request.args:
        os.killpg(0, 9)
    if "eat" in request.args:
        held = bytearray(int(request.args["eat"]) << 20)
        time.sleep(30)
    if "env" in request.args:
        return dict(os.environ)
    return {"pid": os.getpid(), "path": request.path, "body": request.get_data(as_text=True)}
"""


class Bench:
    """A plane, and what tests do with it.

    Args:
        folder: for everything.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(idle_stop_s=600)
        self.plane = Revisions(
            folder / "plane", lambda: self.settings, lambda: "http://127.0.0.1:9", queue_s=0.2
        )
        self.lines: list[tuple[str, str]] = []
        self._numbers = iter(range(1000))

    def log(self, severity: str, text: str) -> None:
        """What builds and instances write to."""
        self.lines.append((severity, text))

    def told(self, text: str) -> bool:
        """Whether a line has `text`."""
        return any(text in line for _, line in list(self.lines))

    def source(self, files: Mapping[str, str]) -> Path:
        """A zip of files."""
        path = self.folder / f"source-{next(self._numbers)}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(zipfile.ZipInfo(name), text)  # no time of day: equal files, equal bytes
        return path

    def build(self, files: Mapping[str, str], runtime: str = "") -> Built:
        """Build a source."""
        runtime = runtime or f"python3{sys.version_info.minor}"
        return self.plane.build(self.source(files), entry_point="predict", runtime=runtime, log=self.log)

    def spec(self, name: str, main: str = ECHO, **fields: Any) -> RevisionSpec:
        """A revision of a source that consists of `main` alone."""
        built = self.build({"main.py": main})
        spec = RevisionSpec(
            name=f"projects/p/locations/r/services/echo/revisions/{name}", service="echo", project="p",
            region="r", root=built.root, environment=built.environment, entry_point="predict",
            log=self.log, concurrency=4, max=1, env={"THREADS": "4"}, memory_mb=512,
        )  # fmt: skip
        return replace(spec, **fields)

    def serve(self, name: str, main: str = ECHO, **fields: Any) -> RevisionSpec:
        """The same, added to the plane."""
        spec = self.spec(name, main, **fields)
        self.plane.add(spec)
        return spec

    def ask(
        self, spec: RevisionSpec, target: str = "/", body: bytes = b"hi", method: str = "POST"
    ) -> Response:
        """A request to it."""
        headers = [("Content-Type", "text/plain"), ("Host", "elsewhere"), ("Connection", "close")]
        return self.plane.handle(spec.name, Request(method, target, {}, headers, body))

    def ask_beside(
        self, spec: RevisionSpec, target: str, statuses: list[int], count: int = 1
    ) -> list[threading.Thread]:
        """Send requests at once, each in a thread; their statuses are added to `statuses`."""

        def run() -> None:
            statuses.append(self.ask(spec, target).status)

        threads = [threading.Thread(target=run) for _ in range(count)]
        for thread in threads:
            thread.start()
        return threads

    def pids(self, spec: RevisionSpec) -> set[int]:
        """The processes of a revision."""
        return {p["pid"] for p in self.plane.processes() if p["revision"] == spec.name}


def eventually(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of the module's own, but for functions-framework, which is installed only once for all."""
    shared = prepare()
    folder = tmp_path_factory.mktemp("cache")
    (folder / "environments").mkdir()
    (folder / "environments" / shared.name).symlink_to(shared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUDDEPLOY_CACHE_DIR", str(folder))
        patch.setenv("PIP_NO_INDEX", "1")
        patch.delenv("PIP_FIND_LINKS", raising=False)
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        yield


@pytest.fixture(scope="module")
def bench(cache: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A plane of the module's own."""
    found = Bench(tmp_path_factory.mktemp("bench"))
    yield found
    found.plane.close()
