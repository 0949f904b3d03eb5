"""``code/requirements.txt``, installed when a container starts, as the inference toolkit does.

"Use a requirements.txt file" (sagemaker-inference toolkit and PyTorch serving container): pip installs
it on top of the image. What the image has already is left alone; the rest goes into an environment of
its own, cached by the digest of image and requirements. pip runs with the user's own ``PIP_*``
settings. Links to the host's distributions never stand in pip's way: it is first asked what it would
install, those links are dropped, and exactly that is installed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clouddeploy.emulator.plane.base_image import canonical
from clouddeploy.emulator.plane.environment import Environment, cached, digest, link, site_of

PASSED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
PIP_TIMEOUT_S = 1800


class RequirementsFailed(Exception):
    """pip could not install them; the message holds its last lines."""


def read(path: Path) -> list[str]:
    """The requirement lines of a file, comments left out; a missing file has none."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [
        line for line in (text.split(" #")[0].strip() for text in lines) if line and not line.startswith("#")
    ]


def missing(lines: Sequence[str], base: Environment) -> list[str]:
    """Those of `lines` that the base environment doesn't satisfy; what isn't PEP 508 counts as missing."""
    from packaging.requirements import InvalidRequirement, Requirement

    have = {d.name: d.version for d in base.distributions}
    left = []
    for line in lines:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            left.append(line)
            continue
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        version = have.get(canonical(wanted.name))
        satisfied = version is not None and wanted.specifier.contains(version, prereleases=True)
        if not satisfied or wanted.url or wanted.extras:
            left.append(line)
    return left


@dataclass(frozen=True)
class Install:
    """One installation: where the requirements are, who hears pip, and what makes it give up."""

    path: Path
    base: Environment
    log: Callable[[str], None]
    cancelled: threading.Event

    def environment(self) -> Environment:
        """The environment that satisfies the requirements.

        Raises:
            RequirementsFailed: pip refused, or it was cancelled.
        """
        lines = missing(read(self.path), self.base)
        if not lines:
            return self.base
        key = digest([self.base.key, *sorted(lines)])
        return replace(self.base, key=key, folder=cached(key, self._build))

    def _build(self, folder: Path) -> None:
        link(self.base.distributions, folder)
        report = folder / "pip-report.json"
        self._pip(folder, ["--dry-run", "--report", str(report), "--requirement", str(self.path)])
        chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
        names = {canonical(item["metadata"]["name"]) for item in chosen}
        site = site_of(folder)
        for distribution in self.base.distributions:
            if distribution.name in names:
                for entry in distribution.entries():
                    if (site / entry).is_symlink():
                        (site / entry).unlink()
        pins = [f"{item['metadata']['name']} @ {item['download_info']['url']}" for item in chosen]
        if pins:
            self._pip(folder, ["--no-deps", *pins])

    def _pip(self, folder: Path, arguments: list[str]) -> None:
        kept = {
            k: v
            for k, v in os.environ.items()
            if k in PASSED or k.startswith("PIP_") or "_proxy" in k.lower()
        }
        command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
        command += ["--disable-pip-version-check", "--no-input", "--no-compile", *arguments]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, cwd=self.path.parent, env=kept, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            code = self._wait(process)
            output.seek(0)
            lines = output.read().decode("utf-8", "replace").splitlines()
        for line in lines:
            self.log(line)
        if code:
            raise RequirementsFailed("\n".join(lines[-8:]) or f"pip ended with {code}")

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """pip's exit code; it is ended when nobody needs it any more, or when it takes for ever."""
        deadline = time.monotonic() + PIP_TIMEOUT_S
        while True:
            try:
                return process.wait(0.05)
            except subprocess.TimeoutExpired:
                if self.cancelled.is_set() or time.monotonic() > deadline:
                    os.killpg(process.pid, signal.SIGKILL)
