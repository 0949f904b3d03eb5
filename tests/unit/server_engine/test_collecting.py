"""What a worker holds when it is ready is left out of every collection, until a version goes."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc, weakref
from clouddeploy.server import collecting

class Version:
    pass

usual = gc.get_threshold()
collecting.seldom()
assert gc.get_threshold()[0] > usual[0]
version, part = Version(), Version()
part.itself = part
version.part, left = part, weakref.ref(part)
del part
collecting.leave_out([version])
assert gc.get_threshold() == usual
assert gc.get_freeze_count() > 1000
del version
assert gc.get_freeze_count() == 0
gc.collect()
assert left() is None
"""


def test_what_is_held_is_left_out_until_a_version_goes_and_what_it_leaves_is_found() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)


def test_the_supervisor_loads_nothing_that_only_workers_need() -> None:
    script = """
import sys
from clouddeploy.server import main
from clouddeploy.server.models.policy import Policy
from clouddeploy.server.settings import ServerSettings
from clouddeploy.server.supervisor import Supervisor
main.check_installed()
main.check_protection(ServerSettings())
heavy = {"numpy", "asyncio", "ssl", "msgspec", "orjson", "http", "email", "uvloop", "torch", "onnxruntime"}
print(*heavy & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.split() == []
