"""Runs uv, which resolves and installs wheels for another machine than this one.

uv takes its index from its own configuration: the ``UV_*`` variables and ``uv.toml``. It never
builds anything here, nor fetches an interpreter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.errors import ModelError, TargetError
from clouddeploy.packaging.ending import end
from clouddeploy.packaging.platforms import Platform

TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Done:
    """How uv ended: exit status, what it answered, and what it told on the way."""

    status: int
    answer: str
    told: tuple[str, ...]


def run(
    arguments: Sequence[str], platform: Platform, *, index: str | None = None, timeout_s: float = TIMEOUT_S
) -> Done:
    """Run uv for `platform`; it and its children are ended after `timeout_s` seconds.

    Args:
        index: address of an index that is asked besides the usual one; the best version of both counts,
            as with pip.

    Raises:
        TargetError: uv isn't installed.
        ModelError: it had no answer in time.
    """
    command = [
        *(_program(), *arguments, "--no-progress", "--color", "never"),
        *("--python", sys.executable, "--no-python-downloads"),
        *("--python-version", platform.python, "--python-platform", platform.tag),
        *("--only-binary", ":all:"),
        *(("--index", index, "--index-strategy", "unsafe-best-match") if index else ()),
    ]
    environment = {**os.environ, "UV_NO_WRAP": "1"}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            answer, told = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"uv had no answer for the requirements within {timeout_s:g} s",
                why="the package index doesn't answer, or is slow",
                fix="check the network, or name another index with UV_DEFAULT_INDEX",
            ) from error
        finally:
            end(process)
    lines = tuple(line.rstrip() for line in told.decode(errors="replace").splitlines() if line.strip())
    return Done(process.returncode, answer.decode(errors="replace"), lines)


def _program() -> str:
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        found = shutil.which("uv")
        if found is None:
            raise TargetError(
                "packaging for another machine needs uv", why="it is not installed", fix="pip install uv"
            ) from error
        return found


def index_settings() -> dict[str, str]:
    """The variables that decide what uv finds, for the key of what is remembered of its answers."""
    own = {"UV_CACHE_DIR", "UV_OFFLINE", "UV_LINK_MODE", "UV_HTTP_TIMEOUT", "UV_CONCURRENT_DOWNLOADS"}
    found = {name: value for name, value in os.environ.items() if name.startswith("UV_") and name not in own}
    configured = os.environ.get("UV_CONFIG_FILE")
    if configured and Path(configured).is_file():
        found["UV_CONFIG_FILE"] = Path(configured).read_text(encoding="utf-8", errors="replace")
    return found
