"""pip, run on an environment that is mostly links to the host's distributions.

It runs with the user's own ``PIP_*`` settings. Links never stand in its way: it is first asked what it
would install, those links are dropped, and exactly that is installed.
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
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.emulator.plane.base_image import Installed, canonical
from clouddeploy.emulator.plane.environment import link, site_of

PASSED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
PIP_TIMEOUT_S = 1800


class RequirementsFailed(Exception):
    """pip could not install them; the message holds its last lines."""


@dataclass(frozen=True)
class Pip:
    """pip for one environment.

    Args:
        folder: the environment's.
        place: where it runs: paths in requirements are relative to it.
        log: hears each line that it prints.
        cancelled: makes it give up.
    """

    folder: Path
    place: Path
    log: Callable[[str], None]
    cancelled: threading.Event

    def install(self, *arguments: str) -> None:
        """``pip install``.

        Raises:
            RequirementsFailed: it refused, or was cancelled.
        """
        kept = {
            k: v
            for k, v in os.environ.items()
            if k in PASSED or k.startswith("PIP_") or "_proxy" in k.lower()
        }
        command = [sys.executable, "-m", "pip", "--python", str(self.folder / "bin" / "python"), "install"]
        command += ["--disable-pip-version-check", "--no-input", "--no-compile", *arguments]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, cwd=self.place, env=kept, stdin=subprocess.DEVNULL, stdout=output,
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


def install_over(base: Sequence[Installed], pip: Pip, arguments: Sequence[str]) -> None:
    """Link `base` into a new environment, and install by pip what `arguments` ask for beyond it.

    Raises:
        RequirementsFailed: pip refused, or was cancelled.
    """
    link(base, pip.folder)
    report = pip.folder / "pip-report.json"
    pip.install("--dry-run", "--report", str(report), *arguments)
    chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = {canonical(item["metadata"]["name"]) for item in chosen}
    site = site_of(pip.folder)
    for distribution in base:
        if distribution.name in names:
            for entry in distribution.entries():
                if (site / entry).is_symlink():
                    (site / entry).unlink()
    pins = [f"{item['metadata']['name']} @ {item['download_info']['url']}" for item in chosen]
    if pins:
        pip.install("--no-deps", *pins)
