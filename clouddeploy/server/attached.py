"""``python -m clouddeploy.server.attached``: the server as another program's child.

It is told by ``--settings '{"models": "folder"}'``, besides the environment variables that `main` reads. A
line of JSON on standard output tells where it answers once it is ready: ``{"url": "http://127.0.0.1:40001"}``.
It ends when its standard input does, so that it never outlives the program that started it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from clouddeploy.errors import CloudDeployError
from clouddeploy.server.main import from_environment, serve
from clouddeploy.server.settings import ServerSettings

SPARE_S = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Read the arguments and serve; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m clouddeploy.server.attached", description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="a JSON object")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        settings = ServerSettings().changed({**from_environment(os.environ), **arguments.settings})
        threading.Thread(target=_follow, args=(settings.drain_s,), name="attached", daemon=True).start()
        return serve(settings, _tell)
    except CloudDeployError as error:
        logging.error("error: %s", error)
        return error.exit_code


def _tell(url: str) -> None:
    print(json.dumps({"url": url}), flush=True)  # noqa: T201  # a program reads it


def _follow(drain_s: float) -> None:
    """Stop when nobody holds the other end of standard input; a second time for workers that hang."""
    while os.read(0, 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(drain_s + SPARE_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main())
