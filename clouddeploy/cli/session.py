"""What a command needs from outside: streams, the folder it runs in, and the way to a `Deployer`."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.cli.terminal import Terminal
from clouddeploy.errors import SpecError

if TYPE_CHECKING:
    from clouddeploy.cli.progress import Progress
    from clouddeploy.config import Config
    from clouddeploy.deployer import Deployer

FLAGS = ("region", "profile", "project")
"""Flags that become options of the provider under the same name."""


class UsageError(SpecError):
    """The command line itself is wrong."""


def real_deployer(target: str, **options: Any) -> Deployer:
    """A `Deployer`, imported when it is needed."""
    from clouddeploy.deployer import Deployer

    return Deployer(target, **options)


@dataclass(frozen=True)
class Session:
    """One run of the command line.

    Args:
        terminal: the streams.
        folder: where ``clouddeploy.toml`` is looked for when no folder is named.
        make_deployer: called as `Deployer` is.
    """

    terminal: Terminal = field(default_factory=Terminal)
    folder: Path = field(default_factory=Path)
    make_deployer: Callable[..., Deployer] = real_deployer

    @classmethod
    def standard(cls) -> Session:
        """The process's own streams, environment and folder."""
        return cls(Terminal(environ=os.environ))

    def config(self, given: str | None) -> Config:
        """The configuration of the folder (or file) `given`, or of this one.

        Raises:
            ConfigError: there is none, or it is wrong.
        """
        from clouddeploy import config

        return config.load(self.folder / given if given else self.folder)

    def config_here(self) -> Config | None:
        """The configuration of this folder, if there is one."""
        from clouddeploy import config

        path = config.find(self.folder)
        return config.load(path) if path else None

    def deployer(self, args: Namespace, config: Config | None, progress: Progress) -> Deployer:
        """The deployer that flags and configuration ask for; flags win.

        Raises:
            UsageError: neither names a target.
        """
        target = args.target or (config.target if config else None)
        if not target:
            file = config.path if config else "a clouddeploy.toml in this folder"
            raise UsageError(
                "no target is named",
                why=f"neither --target nor {file} names one",
                fix="add --target sagemaker",
            )
        options = config.options(target) if config else {}
        options |= {flag: getattr(args, flag) for flag in FLAGS if getattr(args, flag)}
        if not args.emulated:
            return self.make_deployer(target, **options)
        with progress.activity("starting the embedded cloud"):
            return self.make_deployer(target, emulated=True, **options)

    def confirm(self, question: str, args: Namespace) -> bool:
        """Whether to go on: by ``--yes``, or by asking on the terminal."""
        return bool(args.yes) or self.terminal.ask(question)

    def check_may_ask(self, args: Namespace) -> None:
        """Refuse early what would end in a question that nobody can answer.

        Raises:
            UsageError: there is no terminal to ask on, and no ``--yes``.
        """
        if not args.yes and not self.terminal.asks:
            raise UsageError(
                f"'{args.command}' changes things and can't ask whether to",
                why="this isn't a terminal",
                fix="add --yes to go on without a question; `clouddeploy plan` shows what would change",
            )
