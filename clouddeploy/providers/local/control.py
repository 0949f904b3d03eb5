"""Starts a deployment's background process, gives it orders, and ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clouddeploy.errors import CloudError, Timeout
from clouddeploy.providers.local.places import Place, is_held, read_json
from clouddeploy.providers.local.processes import SERVICE, kill_marked, send

START_S, END_S = 60.0, 60.0
TURN_S = 0.01
ORDER_S = 5.0
TAIL = 2000
PASSED_ON = frozenset(
    ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP",
     "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
     "XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME")
)  # fmt: skip
PASSED_ON_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "DYLD_")
"""Variables that a service inherits from whoever starts it. No others, so that it doesn't depend on which
shell that was, and sees no credentials that it wasn't given."""


def ensure_keeper(place: Place) -> None:
    """Return when a keeper runs and has been told to look at service.json.

    Raises:
        CloudError: it ends at once.
        Timeout: it neither runs nor ends.
    """
    deadline = time.monotonic() + START_S
    while True:
        answer = order(place, {"do": "look"})
        if answer is not None and not answer.get("stopping"):
            return
        if not is_held(place.keeper_lock):
            _launch(place)
        elif time.monotonic() > deadline:
            raise Timeout(
                f"the background process of {place.name!r} doesn't answer after {START_S:g} s",
                fix=f"run it again, or look into {place.log}",
            )
        time.sleep(TURN_S)


def end_keeper(place: Place, token: str) -> None:
    """Return when neither the keeper nor anything that it started runs.

    Raises:
        Timeout: something can't be killed.
    """
    order(place, {"do": "stop"})
    deadline = time.monotonic() + END_S
    while is_held(place.keeper_lock):
        known = read_json(place.keeper)
        if known is not None and order(place, {"do": "stop"}) is None:
            # It may have begun to end, when it takes no orders: a signal harms it no more then.
            send(known, signal.SIGTERM)
        if time.monotonic() > deadline:
            send(known or {}, signal.SIGKILL)
            break
        time.sleep(TURN_S)
    kill_marked(SERVICE, token)
    if is_held(place.keeper_lock):
        raise Timeout(
            f"the background process of {place.name!r} doesn't end",
            fix=f"end it by hand; its number is in {place.keeper}",
        )


def order(place: Place, what: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the keeper an order; its answer, or None when there is none that takes orders."""
    known = read_json(place.keeper)
    if known is None or not is_held(place.keeper_lock):
        return None
    try:
        with socket.create_connection(("127.0.0.1", int(known["control"])), timeout=ORDER_S) as connection:
            connection.sendall(json.dumps({**what, "token": known["token"]}).encode() + b"\n")
            with connection.makefile("rb") as answer:
                found = json.loads(answer.readline())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def environment(place: Place, now: Mapping[str, str]) -> dict[str, str]:
    """The environment of the background process, from that of this one."""
    kept = {k: v for k, v in now.items() if k in PASSED_ON or k.startswith(PASSED_ON_PREFIXES)}
    root = str(Path(__file__).resolve().parents[3])
    kept["PYTHONPATH"] = os.pathsep.join(p for p in (root, kept.get("PYTHONPATH", "")) if p)
    wish = read_json(place.service) or {}
    return {**kept, SERVICE: str(wish.get("token", ""))}


def _launch(place: Place) -> None:
    """Start a keeper, and return when it has detached itself."""
    place.log.mkdir(parents=True, exist_ok=True)
    place.state.unlink(missing_ok=True)
    said = place.log / "keeper.err"
    # Not subprocess: its objects complain about children that outlive them, which is the aim here.
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", "clouddeploy.providers.local.service", str(place.folder.absolute())],
        environment(place, os.environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(said), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # this program has it that ended children aren't waited for
        return
    if code > 0:  # below: another keeper began to clean up at the same time, and is the one that stays
        raise CloudError(
            f"the background process of {place.name!r} ended at once",
            why=said.read_text(errors="replace")[-TAIL:].strip(),
            fix="mend what it says, then run the same command again",
            code="Failed",
        )
