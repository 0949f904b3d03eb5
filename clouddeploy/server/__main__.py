"""``python -m clouddeploy.server``, as containers and supervisors start it."""

from __future__ import annotations

from clouddeploy.server.main import main

if __name__ == "__main__":
    raise SystemExit(main())
