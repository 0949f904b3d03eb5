"""How the models stand in each worker, told in files of the run folder."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clouddeploy.server.models.state import write_whole

PREFIX = "models-status-"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """How the models stand in one worker.

    Args:
        models: by name: ``versions`` (by version ``state``, ``reason``, ``release``), ``weights``,
            ``labels``, ``default``.
        state_problem: why the state file isn't followed; empty when it is.
        shadows: by ``model/version``, how many copies had which end.
    """

    models: dict[str, Any]
    state_problem: str
    shadows: dict[str, dict[str, int]]


def write_report(folder: Path, report: Report) -> str:
    """Tell the other workers; why they can't be told, or nothing. A full disk costs this and nothing else."""
    number = os.environ.get("CLOUDDEPLOY_WORKER", "0")
    value = {
        "pid": os.getpid(),
        "models": report.models,
        "state_problem": report.state_problem,
        "shadows": report.shadows,
    }
    try:
        write_whole(folder / f"{PREFIX}{number}.json", json.dumps(value).encode())
    except OSError as error:
        return str(error)
    return ""


def read_reports(folder: Path) -> dict[str, dict[str, Any]]:
    """What each worker told last, by its number."""
    found = {}
    for path in sorted(folder.glob(f"{PREFIX}*.json")):
        try:
            found[path.stem.removeprefix(PREFIX)] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            log.warning("%s can't be read: %s", path.name, error)
    return found
