"""Starts clouddeploy's server with settings from the command line, and tells when it is ready."""

from __future__ import annotations

import json
import sys

from clouddeploy.server.settings import ServerSettings
from clouddeploy.server.supervisor import Supervisor


def main() -> int:
    """Serve until SIGTERM."""
    settings = ServerSettings().changed(json.loads(sys.argv[1]))
    return Supervisor(settings, lambda url: print(f"ready {url}", flush=True)).run()


if __name__ == "__main__":
    raise SystemExit(main())
