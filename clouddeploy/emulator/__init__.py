"""The embedded cloud: AWS and Google Cloud on loopback, with a real data plane. Importing this loads nothing
heavy.

`start`, `stop`, `running` and `connect` are about the daemon of this user; `Emulator` is one of one's
own, for tests. What answers is in `clouddeploy.emulator.cloud`, where moto is touched in ``backends`` only,
and in `clouddeploy.emulator.google`.
"""

from __future__ import annotations

from clouddeploy.emulator.connection import Connection, connect, running, start, stop
from clouddeploy.emulator.server import Emulator
from clouddeploy.emulator.settings import ACCOUNT, Settings

__all__ = ["ACCOUNT", "Connection", "Emulator", "Settings", "connect", "running", "start", "stop"]
