"""emulator, schema and version: the commands that need no cloud."""

from __future__ import annotations

import shlex
from argparse import Namespace
from typing import TYPE_CHECKING

from clouddeploy.errors import NotFound

if TYPE_CHECKING:
    from clouddeploy.cli.session import Session
    from clouddeploy.emulator.connection import Connection


def emulator(args: Namespace, session: Session) -> int:
    """Start, stop or show the embedded cloud."""
    actions = {"start": _start, "stop": _stop, "status": _status, "env": _env}
    return actions[args.action](args, session)


def _start(args: Namespace, session: Session) -> int:
    from clouddeploy.emulator import connection

    with session.terminal.progress() as progress, progress.activity("starting the embedded cloud"):
        cloud = connection.connect()
    _show(cloud, args, session)
    return 0


def _status(args: Namespace, session: Session) -> int:
    from clouddeploy.emulator import connection

    _show(connection.running(), args, session)
    return 0


def _show(cloud: Connection | None, args: Namespace, session: Session) -> None:
    if args.json:
        facts = {"url": cloud.url, "region": cloud.region, "account": cloud.account} if cloud else {}
        session.terminal.json({"running": cloud is not None, **facts})
    elif cloud:
        session.terminal.data(
            f"the embedded cloud runs at {cloud.url} (region {cloud.region}, account {cloud.account})"
        )
    else:
        session.terminal.data("the embedded cloud isn't running")


def _stop(args: Namespace, session: Session) -> int:
    from clouddeploy.emulator import connection

    with session.terminal.progress() as progress, progress.activity("stopping the embedded cloud"):
        stopped = connection.stop()
    if args.json:
        session.terminal.json({"stopped": stopped})
    else:
        session.terminal.data(
            "the embedded cloud is stopped" if stopped else "the embedded cloud wasn't running"
        )
    return 0


def _env(args: Namespace, session: Session) -> int:
    from clouddeploy.emulator import connection

    cloud = connection.running()
    if cloud is None:
        raise NotFound("the embedded cloud isn't running", fix="clouddeploy emulator start")
    if args.json:
        session.terminal.json(cloud.env())
    else:
        for name, value in cloud.env().items():
            session.terminal.data(f"export {name}={shlex.quote(value)}")
    return 0


def schema(_: Namespace, session: Session) -> int:
    """Print the JSON schema of ``clouddeploy.toml``."""
    from clouddeploy.config import json_schema

    session.terminal.json(json_schema())
    return 0


def version(args: Namespace, session: Session) -> int:
    """Print the version of this package."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        found = installed("clouddeploy")
    except PackageNotFoundError:
        found = "unknown (not installed)"
    if args.json:
        session.terminal.json({"version": found})
    else:
        session.terminal.data(found)
    return 0
