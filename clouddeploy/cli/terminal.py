"""The streams of one run: what is said where, what may be asked, and how lively it may be."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from clouddeploy.cli.progress import Progress


@dataclass(frozen=True)
class Terminal:
    """Standard streams and the environment that tells how to use them.

    Args:
        stdin: answers to questions.
        stdout: data, and nothing else.
        stderr: plans, progress, questions and errors.
        environ: environment variables; NO_COLOR, CI, TERM and CLOUDDEPLOY_DEBUG are heeded.
    """

    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def asks(self) -> bool:
        """Whether somebody is there to answer a question."""
        return self.stdin.isatty() and self.stderr.isatty()

    @property
    def lively(self) -> bool:
        """Whether lines may be redrawn: a terminal that can, and no build server."""
        return self.stderr.isatty() and self.environ.get("TERM") != "dumb" and not self.environ.get("CI")

    @property
    def colour(self) -> bool:
        """Whether colours are wanted (https://no-color.org)."""
        return not self.environ.get("NO_COLOR")

    @property
    def debug(self) -> bool:
        """Whether traces are wanted."""
        return self.environ.get("CLOUDDEPLOY_DEBUG", "") not in ("", "0")

    def data(self, text: str) -> None:
        """Write a line that a program may read."""
        print(text, file=self.stdout, flush=True)

    def json(self, value: object) -> None:
        """Write one JSON document."""
        self.data(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))

    def say(self, text: str) -> None:
        """Write a line for people."""
        print(text, file=self.stderr, flush=True)

    def ask(self, question: str) -> bool:
        """Ask for a yes; anything else, or the end of the input, is a no."""
        print(f"{question} [y/N] ", end="", file=self.stderr, flush=True)
        answer = self.stdin.readline()
        if not answer.endswith("\n"):
            self.say("")
        return answer.strip().lower() in ("y", "yes")

    def progress(self) -> AbstractContextManager[Progress]:
        """What draws events while something runs: redrawn lines, or plain ones."""
        if self.lively:
            from clouddeploy.cli.lively import LivelyProgress

            return LivelyProgress(self.stderr, colour=self.colour)
        from clouddeploy.cli.progress import PlainProgress

        return PlainProgress(self.say)


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return str(value)
