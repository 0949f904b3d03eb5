"""``python -m clouddeploy.emulator.google.prepare``: make ready what the embedded Google Cloud needs.

Without it the first function that is deployed waits for the same.
"""

from __future__ import annotations

import sys

from clouddeploy.emulator.google.plane.framework import prepare
from clouddeploy.emulator.plane.pip import RequirementsFailed


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    """Install functions-framework into the emulator's cache, unless it is there."""
    try:
        folder = prepare(_tell)
    except RequirementsFailed as error:
        sys.stderr.write(f"functions-framework could not be installed: {error}\n")
        return 1
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
