"""plan, deploy and package: the commands that start from a ``clouddeploy.toml``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.cli.running import standing

if TYPE_CHECKING:
    from clouddeploy.cli.progress import Progress
    from clouddeploy.cli.session import Session
    from clouddeploy.config import Config
    from clouddeploy.deployer import Deployer
    from clouddeploy.engine.plan import Plan
    from clouddeploy.prepared import Prepared

CHANGES = 20
"""Exit code of ``plan`` when there is something to do."""


def plan(args: Namespace, session: Session) -> int:
    """Print the plan; exit code 20 when something would change."""
    config = session.config(args.folder)
    with session.terminal.progress() as progress:
        deployer = session.deployer(args, config, progress)
        made = _prepared(args, config, deployer, progress).plan
    if args.json:
        session.terminal.json(_plan_json(config, deployer, made))
    else:
        session.terminal.data(str(made))
    return CHANGES if made.changes else 0


def deploy(args: Namespace, session: Session) -> int:
    """Show the plan, ask, and make it so."""
    session.check_may_ask(args)
    config = session.config(args.folder)
    terminal = session.terminal
    with terminal.progress() as progress:
        deployer = session.deployer(args, config, progress)
        prepared = _prepared(args, config, deployer, progress)
        made = prepared.plan
    terminal.say(str(made))
    if made.changes:
        if not session.confirm("Deploy?", args):
            terminal.say("nothing was changed")
            return 0
        with terminal.progress() as progress:
            prepared.apply(on_event=progress.event)
    found = standing(deployer, config.name)
    if args.json:
        terminal.json({**found, "changed": made.changes})
    else:
        terminal.data(
            f"{found['name']} on {found['target']}: {found['phase']}, release {found['release'] or 'unknown'}"
        )
    return 0


def package(args: Namespace, session: Session) -> int:
    """Write the artifact, and print its path."""
    config = session.config(args.folder)
    with session.terminal.progress() as progress:
        deployer = session.deployer(args, config, progress)
        with progress.activity("reading the model and trying its handler"):
            deployment = config.deployment()
        folder = args.out.endswith("/") and deployment.compression == "auto"
        with progress.activity(f"packaging to {args.out}"):
            path = deployer.package(
                deployment.model,
                Path(args.out),
                compression="none" if folder else deployment.compression,
                architecture=deployment.compute.architecture,
            )
    if args.json:
        session.terminal.json({"path": str(path), "bytes": _bytes(path), "model": deployment.model.digest})
    else:
        session.terminal.data(str(path))
    return 0


def _prepared(args: Namespace, config: Config, deployer: Deployer, progress: Progress) -> Prepared:
    with progress.activity("reading the model and trying its handler"):
        deployment = config.deployment()
    with progress.activity(f"reading what is on {deployer.target}"):
        return deployer.prepare(deployment, strict=args.strict)


def _plan_json(config: Config, deployer: Deployer, made: Plan) -> dict[str, object]:
    return {"name": config.name, "target": deployer.target, "changes": made.changes, **made.to_dict()}


def _bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
