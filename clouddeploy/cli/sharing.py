"""traffic and scale: which release gets which share of the requests, and how many copies there are."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clouddeploy.cli.running import standing
from clouddeploy.cli.session import UsageError

if TYPE_CHECKING:
    from clouddeploy.cli.session import Session

TARGETS = ("requests_per_minute", "concurrency", "cpu", "utilization")


def traffic(args: Namespace, session: Session) -> int:
    """Print the shares; with new ones, ask and set them first."""
    wanted = _shares(args.shares)
    if wanted:
        session.check_may_ask(args)
    terminal = session.terminal
    with terminal.progress() as progress:
        deployer = session.deployer(args, session.config_here(), progress)
    if wanted:
        told = ", ".join(f"{release} {percent} %" for release, percent in wanted.items())
        if not session.confirm(f"Split the requests of {args.name}: {told}?", args):
            terminal.say("nothing was changed")
            return 0
        with terminal.progress() as progress:
            deployer.split(args.name, wanted, on_event=progress.event)
    found = dict(deployer.endpoint(args.name).traffic)
    if args.json:
        terminal.json({"name": args.name, "target": deployer.target, "traffic": found})
    else:
        terminal.data("\n".join(f"{release[:10]:<10}  {percent:>3} %" for release, percent in found.items()))
    return 0


def _shares(words: Sequence[str]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for word in words:
        release, _, percent = word.partition("=")
        percent = percent.removesuffix("%")
        if not release or not percent.isdigit():
            raise UsageError(
                f"{word!r} is no share",
                why="allowed: a release, an equals sign and a whole percent",
                fix="write for example 1f2e3d4c5b=10 0a1b2c3d4e=90",
            )
        if release in found:
            raise UsageError(f"{release!r} stands twice", fix="give each release one share")
        found[release] = int(percent)
    return found


def scale(args: Namespace, session: Session) -> int:
    """Change the number of copies of what runs."""
    from clouddeploy.autoscaling.policy import Autoscaling

    session.check_may_ask(args)
    given = {name: getattr(args, name) for name in TARGETS if getattr(args, name) is not None}
    most = max(args.min, 1) if args.max is None else args.max
    wanted = Autoscaling(min=args.min, max=most, **given)
    copies = f"{most}" if args.min == most else f"{args.min} to {most}"
    copies += " copy" if most == 1 else " copies"
    terminal = session.terminal
    with terminal.progress() as progress:
        deployer = session.deployer(args, session.config_here(), progress)
    if not session.confirm(f"Run {copies} of {args.name}?", args):
        terminal.say("nothing was changed")
        return 0
    with terminal.progress() as progress:
        deployer.scale(args.name, wanted, on_event=progress.event)
    found = standing(deployer, args.name)
    if args.json:
        terminal.json(found)
    else:
        terminal.data(f"{found['name']} on {found['target']}: {copies}")
    return 0
