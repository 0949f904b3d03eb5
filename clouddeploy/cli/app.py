"""Runs one command, and turns how it ended into an exit code and a message."""

from __future__ import annotations

import os
import traceback
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from clouddeploy.errors import CloudDeployError, Interrupted

if TYPE_CHECKING:
    from clouddeploy.cli.session import Session

Command = Callable[[Namespace, "Session"], int]
BROKEN_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended."""


def run(argv: Sequence[str], session: Session) -> int:
    """Run the command line `argv` and return the exit code."""
    as_json = "--json" in argv
    try:
        return _dispatch(argv, session)
    except SystemExit as stop:  # argparse, after --help
        return int(stop.code or 0)
    except BrokenPipeError:
        return _close_quietly(session)
    except KeyboardInterrupt:
        stopped = Interrupted("interrupted", why="Ctrl-C", fix="run it again to go on")
        return _report(stopped, session, as_json)
    except CloudDeployError as error:
        return _report(error, session, as_json)
    except Exception as error:  # noqa: BLE001 (whatever is left is a bug, and is told as one)
        return _report(bug(error), session, as_json)


def bug(error: Exception) -> CloudDeployError:
    """What an error that isn't one of ours is told as."""
    name = type(error).__name__
    told = CloudDeployError(
        f"this is a bug in clouddeploy: {name}: {error}",
        fix="run it again with CLOUDDEPLOY_DEBUG=1 to see the trace, and report it with that",
    )
    told.__cause__ = error
    return told


def _dispatch(argv: Sequence[str], session: Session) -> int:
    from clouddeploy.cli.parser import help_text, parse

    args = parse(argv)
    if args.command is None:
        session.terminal.data(help_text().rstrip())
        return 0
    return _command(args.command)(args, session)


def _command(name: str) -> Command:
    if name in ("plan", "deploy", "package"):
        from clouddeploy.cli import deploying

        return {"plan": deploying.plan, "deploy": deploying.deploy, "package": deploying.package}[name]
    if name in ("emulator", "schema", "version"):
        from clouddeploy.cli import machine

        return {"emulator": machine.emulator, "schema": machine.schema, "version": machine.version}[name]
    if name == "serve":
        from clouddeploy.cli.serving import serve

        return serve
    if name == "predict":
        from clouddeploy.cli.predicting import predict

        return predict
    if name == "bench":
        from clouddeploy.cli.benching import bench

        return bench
    if name in ("traffic", "scale"):
        from clouddeploy.cli import sharing

        return {"traffic": sharing.traffic, "scale": sharing.scale}[name]
    from clouddeploy.cli import running

    return {
        "status": running.status,
        "logs": running.logs,
        "list": running.list_deployments,
        "rollback": running.rollback,
        "delete": running.delete,
    }[name]


def _report(error: CloudDeployError, session: Session, as_json: bool) -> int:
    terminal = session.terminal
    try:
        if terminal.debug:
            terminal.say("".join(traceback.format_exception(error)).rstrip())
        terminal.say(f"error: {error}")
        if as_json:
            terminal.json(error.as_dict())
    except BrokenPipeError:
        return _close_quietly(session)
    return error.exit_code


def _close_quietly(session: Session) -> int:
    """Point the closed stream at nothing, so that the interpreter's last flush doesn't complain."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, session.terminal.stdout.fileno())
    os.close(nothing)
    return BROKEN_PIPE
