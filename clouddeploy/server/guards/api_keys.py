"""API keys: made here, shown once, kept as hashes, and read again when their file changes.

    python -m clouddeploy.server.guards.api_keys keys.json add --name phone-app --days 90
    python -m clouddeploy.server.guards.api_keys keys.json list
    python -m clouddeploy.server.guards.api_keys keys.json remove 1f09ab34

A key is ``cd_<id>_<secret>``. The secret has 256 random bits, so it can't be guessed from its SHA-256: slow
hashes such as scrypt are for what people think up, and would cost each request milliseconds.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clouddeploy.errors import CloudDeployError, NotFound, SpecError
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.guards.watched import Watched

KEY = re.compile(r"cd_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
DAY_S = 86_400
NOBODY = "0" * 64


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key.

    Args:
        id: the part of it that tells it from others; in logs.
        name: whose it is.
        sha256: of the whole key, hexadecimal.
        created: seconds of the epoch.
        expires: seconds of the epoch; None for never.
    """

    id: str
    name: str
    sha256: str
    created: float
    expires: float | None = None


def make(name: str, now: float, days: float | None = None) -> tuple[str, ApiKey]:
    """A new key, and what is kept of it."""
    id = secrets.token_hex(4)
    key = f"cd_{id}_{secrets.token_urlsafe(32)}"
    return key, ApiKey(id, name, _hash(key), now, now + days * DAY_S if days is not None else None)


def read(path: Path) -> dict[str, ApiKey]:
    """The keys in a file, by id.

    Raises:
        SpecError: it isn't a file of keys.
        OSError: it can't be read.
    """
    try:
        found = [_entry(row) for row in json.loads(path.read_text(encoding="utf-8"))["keys"]]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise SpecError(
            f"{str(path)!r} is no file of API keys",
            why=f"{type(error).__name__}: {error}",
            fix="make it with python -m clouddeploy.server.guards.api_keys FILE add --name NAME",
        ) from error
    return {key.id: key for key in found}


def _entry(row: dict[str, Any]) -> ApiKey:
    key = ApiKey(**row)
    if not (
        isinstance(key.id, str) and isinstance(key.name, str) and re.fullmatch("[0-9a-f]{64}", key.sha256)
    ):
        raise ValueError(f"the entry {row.get('id')!r} is none of ours")
    expires = None if key.expires is None else float(key.expires)
    if expires is not None:
        datetime.fromtimestamp(expires, UTC)  # neither NaN, which no clock ever reaches, nor no time at all
    return ApiKey(key.id, key.name, key.sha256, float(key.created), expires)


def write(path: Path, keys: dict[str, ApiKey]) -> None:
    """Replace the file in one step; only its owner may read it."""
    text = json.dumps({"version": 1, "keys": [asdict(key) for key in keys.values()]}, indent=1)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("latin-1", "replace")).hexdigest()


class ApiKeys:
    """Tells whose a key is.

    Args:
        path: of the file, which is looked at again every second.
        clock: seconds of the epoch.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = Watched(path, read)
        self._clock = clock

    def takes(self, text: str) -> bool:
        """Whether `text` looks like a key."""
        return text.startswith("cd_")

    def name(self, text: str) -> str:
        """Whose key it is.

        Raises:
            WireError: ``unauthorized``.
        """
        parts = KEY.fullmatch(text)
        known = self._file.content.get(parts[1]) if parts else None
        # Compared in any case, so that the time taken tells nothing of which ids there are.
        if not hmac.compare_digest(_hash(text), known.sha256 if known else NOBODY) or known is None:
            raise WireError("unauthorized", "the API key isn't known", "send a key that is known here")
        if known.expires is not None and known.expires <= self._clock():
            day = datetime.fromtimestamp(known.expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
            raise WireError("unauthorized", f"the API key expired at {day}", "ask for a new one")
        return known.name


def add(path: Path, name: str, days: float | None = None) -> str:
    """Make a key, note its hash in the file, and give the key, which is nowhere else.

    Raises:
        SpecError: the file is there and is none of keys.
    """
    keys = read(path) if path.exists() else {}
    key, kept = make(name, time.time(), days)
    write(path, {**keys, kept.id: kept})
    return key


def remove(path: Path, id: str) -> None:
    """Let a key be known no longer.

    Raises:
        NotFound: there is no such id.
    """
    keys = read(path)
    if id not in keys:
        raise NotFound(
            f"there is no key {id!r}", why=f"ids: {', '.join(keys) or 'none'}", fix="correct the id"
        )
    write(path, {k: v for k, v in keys.items() if k != id})


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m clouddeploy.server.guards.api_keys FILE add|list|remove``; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m clouddeploy.server.guards.api_keys")
    parser.add_argument("file", type=Path, help="of the keys' hashes, for the setting api_keys")
    actions = parser.add_subparsers(dest="action", required=True)
    adding = actions.add_parser("add", help="make a key and show it, once")
    adding.add_argument("--name", required=True, help="whose it is; in the access log and the metrics")
    adding.add_argument("--days", type=float, help="after which it expires; never by default")
    actions.add_parser("list", help="show what is known of each key")
    actions.add_parser("remove", help="let a key be known no longer").add_argument("id")
    arguments = parser.parse_args(argv)
    try:
        _act(arguments)
    except (CloudDeployError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code if isinstance(error, CloudDeployError) else 1
    return 0


def _act(arguments: argparse.Namespace) -> None:
    out = sys.stdout.write
    if arguments.action == "add":
        out(f"{add(arguments.file, arguments.name, arguments.days)}\n")
    elif arguments.action == "remove":
        remove(arguments.file, arguments.id)
    else:
        for key in read(arguments.file).values():
            until = "never" if key.expires is None else datetime.fromtimestamp(key.expires, UTC).isoformat()
            out(f"{key.id}  {key.name}  expires {until}\n")


if __name__ == "__main__":
    raise SystemExit(main())
