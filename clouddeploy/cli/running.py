"""status, logs, list, rollback and delete: the commands about what runs."""

from __future__ import annotations

import re
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clouddeploy.cli.session import UsageError
from clouddeploy.errors import NotFound

if TYPE_CHECKING:
    from clouddeploy.cli.session import Session
    from clouddeploy.cli.terminal import Terminal
    from clouddeploy.deployer import Deployer

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
FOLLOW_S = 2.0
"""How often ``logs --follow`` looks for new lines."""
FOLLOW_LIMIT = 1000


def standing(deployer: Deployer, name: str) -> dict[str, Any]:
    """How a deployment stands, as ``status --json`` prints it."""
    status = deployer.endpoint(name).status()
    return {"name": name, "target": deployer.target, **asdict(status)}


def status(args: Namespace, session: Session) -> int:
    """Print how a deployment stands; exit code 5 when there is none."""
    with session.terminal.progress() as progress:
        deployer = session.deployer(args, session.config_here(), progress)
        with progress.activity(f"asking {deployer.target}"):
            found = standing(deployer, args.name)
    if found["phase"] == "missing":
        raise _nothing(args.name, deployer)
    if args.json:
        session.terminal.json(found)
        return 0
    rows = {
        "name": found["name"],
        "target": found["target"],
        "phase": f"{found['phase']} ({found['native']})",
        "release": found["release"] or "unknown",
        "copies": "unknown" if found["copies"] is None else str(found["copies"]),
        "reason": found["reason"],
    }
    session.terminal.data("\n".join(f"{key:<8} {value}" for key, value in rows.items() if value))
    return 0


def _nothing(name: str, deployer: Deployer) -> NotFound:
    return NotFound(
        f"nothing runs under {name!r} on {deployer.target}",
        fix=f"see what does: clouddeploy list --target {deployer.target}",
    )


def list_deployments(args: Namespace, session: Session) -> int:
    """Print the deployments on a target, one a line."""
    with session.terminal.progress() as progress:
        deployer = session.deployer(args, session.config_here(), progress)
        with progress.activity(f"asking {deployer.target}"):
            rows = deployer.list()
    if args.json:
        session.terminal.json({"target": deployer.target, "deployments": [asdict(row) for row in rows]})
    elif not rows:
        session.terminal.say(f"nothing is deployed on {deployer.target}")
    else:
        width = max(len(row.name) for row in rows)
        for row in rows:
            session.terminal.data(
                f"{row.name:<{width}}  {row.phase:<12}  {row.release[:10]:<10}  {row.created}".rstrip()
            )
    return 0


def rollback(args: Namespace, session: Session) -> int:
    """Serve a kept release again."""
    session.check_may_ask(args)
    terminal = session.terminal
    with terminal.progress() as progress:
        deployer = session.deployer(args, session.config_here(), progress)
    if not session.confirm(f"Serve {args.to or 'the release before'} again as {args.name}?", args):
        terminal.say("nothing was changed")
        return 0
    with terminal.progress() as progress:
        deployer.rollback(args.name, args.to, on_event=progress.event)
    found = standing(deployer, args.name)
    if args.json:
        terminal.json(found)
    else:
        terminal.data(
            f"{found['name']} on {found['target']}: {found['phase']}, release {found['release'] or 'unknown'}"
        )
    return 0


def delete(args: Namespace, session: Session) -> int:
    """Show what would go, ask, and remove it. Removing what isn't there succeeds."""
    session.check_may_ask(args)
    terminal = session.terminal
    with terminal.progress() as progress:
        deployer = session.deployer(args, session.config_here(), progress)
        with progress.activity(f"reading what is on {deployer.target}"):
            prepared = deployer.prepare_removal(args.name)
            made = prepared.plan
    terminal.say(str(made))
    if made.changes and not session.confirm(f"Delete {args.name}?", args):
        terminal.say("nothing was changed")
        return 0
    with terminal.progress() as progress:
        prepared.apply(on_event=progress.event)
    if args.json:
        terminal.json({"name": args.name, "target": deployer.target, "deleted": made.changes})
    else:
        terminal.data(f"{args.name}: deleted" if made.changes else f"{args.name}: nothing was there")
    return 0


def seconds(text: str) -> float:
    """``15m`` as seconds.

    Raises:
        UsageError: it is no span of time.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not found:
        raise UsageError(
            f"--since is {text!r}",
            why="allowed: a number with s, m, h or d after it",
            fix="write for example --since 15m",
        )
    return float(found[1]) * SECONDS[found[2] or "s"]


def logs(args: Namespace, session: Session) -> int:
    """Print the last log lines, oldest first; with ``--follow`` until Ctrl-C."""
    since_s = seconds(args.since)
    if args.limit < 1:
        raise UsageError(f"--limit is {args.limit}", why="allowed: 1 or more", fix="give a number of lines")
    with session.terminal.progress() as progress:
        deployer = session.deployer(args, session.config_here(), progress)
        with progress.activity(f"asking {deployer.target}"):
            endpoint = deployer.endpoint(args.name)
            lines = list(endpoint.logs(since_s=since_s, limit=args.limit))
            if not lines and endpoint.status().phase == "missing":
                raise _nothing(args.name, deployer)
    if args.follow:
        began = time.monotonic()

        def look() -> Sequence[str]:
            return list(endpoint.logs(since_s=since_s + time.monotonic() - began, limit=FOLLOW_LIMIT))

        return follow(args.name, lines, look, session.terminal, as_json=args.json)
    if args.json:
        session.terminal.json({"name": args.name, "lines": lines})
    else:
        for line in lines:
            session.terminal.data(line)
    return 0


def fresh(before: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """The lines of `now` after those that end `before`: both are windows on one growing log."""
    for length in range(min(len(before), len(now)), 0, -1):
        if list(before[-length:]) == list(now[:length]):
            return now[length:]
    return now


def follow(
    name: str,
    lines: Sequence[str],
    look: Callable[[], Sequence[str]],
    terminal: Terminal,
    *,
    as_json: bool,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Print `lines` and whatever comes after them, until Ctrl-C; as JSON one object a line."""
    import json

    new, seen = lines, lines
    try:
        while True:
            for line in new:
                terminal.data(json.dumps({"name": name, "line": line}) if as_json else line)
            pause(FOLLOW_S)
            now = look()
            new, seen = fresh(seen, now), now
    except KeyboardInterrupt:
        return 0
