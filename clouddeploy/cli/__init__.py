"""The command line: data on stdout, talk on stderr, exit codes by `clouddeploy.errors`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command with the process's own streams, and return its exit code."""
    from clouddeploy.cli.app import run
    from clouddeploy.cli.session import Session

    return run(sys.argv[1:] if argv is None else argv, Session.standard())
