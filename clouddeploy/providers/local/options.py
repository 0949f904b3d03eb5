"""What `Local` is given, checked before anything is made."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from clouddeploy.errors import SpecError

OURS = {
    "host": "the service has its own address",
    "port": "give it to the provider itself: port=8080",
    "models": "the releases are the deployment's",
    "name": "the model has the deployment's name",
}
"""Settings of a copy's server that the service makes."""


def check(folder: object, port: object, keep_warm_s: object) -> None:
    """Refuse what can't be meant.

    Raises:
        SpecError: one of these is of the wrong kind, or out of range.
    """
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise SpecError(f"folder is {folder!r}", why="allowed: a path, or None", fix="give a folder")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65_535:
        raise SpecError(f"port is {port!r}", why="allowed: 0 to 65,535", fix="give a port, or 0 for any")
    number = isinstance(keep_warm_s, int | float) and not isinstance(keep_warm_s, bool)
    if not (number and math.isfinite(keep_warm_s) and keep_warm_s >= 0):  # type: ignore[arg-type, operator]
        raise SpecError(f"keep_warm_s is {keep_warm_s!r}", why="allowed: 0 or more", fix="correct it")


def server_settings(given: object) -> dict[str, Any]:
    """Settings of the model server, as they can be written down.

    Raises:
        SpecError: one is unknown, out of range, or the service's own.
    """
    from clouddeploy.server.settings import ServerSettings

    if not isinstance(given, Mapping):
        raise SpecError(
            f"server is {given!r}", why="allowed: a mapping of settings", fix="write server={'max_batch': 64}"
        )
    own = next((name for name in given if name in OURS), None)
    if own is not None:
        raise SpecError(f"server can't have {own!r}", why=OURS[own], fix="leave it away")
    found = {name: os.fspath(v) if isinstance(v, os.PathLike) else v for name, v in given.items()}
    for name, value in found.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise SpecError(
                f"server[{name!r}] is {value!r}", why=str(error), fix="give a number, a text or a path"
            ) from error
    ServerSettings().changed(found)
    return found
