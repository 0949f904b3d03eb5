"""``python -m clouddeploy.emulator``: the embedded cloud in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import sys

from clouddeploy.emulator.daemon import detach, log_to_stderr, serve_supervised, serve_user
from clouddeploy.emulator.settings import Settings
from clouddeploy.errors import CloudDeployError


def main() -> int:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m clouddeploy.emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0: the system chooses")
    parser.add_argument("--settings", type=json.loads, default={}, help="a JSON object of settings")
    parser.add_argument("--detached", action="store_true", help="leave the terminal's session")
    parser.add_argument(
        "--supervised", action="store_true", help="end when standard input closes; no state file"
    )
    arguments = parser.parse_args()
    log_to_stderr()
    try:
        settings = Settings().changed(arguments.settings)
        if arguments.supervised:
            serve_supervised(port=arguments.port, settings=settings)
            return 0
        if arguments.detached:
            detach()
        serve_user(port=arguments.port, settings=settings)
    except CloudDeployError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"the embedded cloud can't listen on port {arguments.port}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
