"""No function's process outlives the embedded cloud, frozen or not, however that ends."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from clouddeploy.emulator import Emulator, Settings
from tests.emulator.conftest import SESSION
from tests.emulator.functions.conftest import TRUST, packed

CODE = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def go(event, context):
    return [os.getpid(), child.pid]
"""


def alive(pid: int) -> bool:
    """Whether a process runs or lies frozen; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def started(cloud: Emulator) -> list[int]:
    """The processes of a function that was invoked once."""
    connection = cloud.connection
    options = {
        "region_name": "eu-west-1", "endpoint_url": connection.url,
        "aws_access_key_id": connection.access_key_id,
        "aws_secret_access_key": connection.secret_access_key,
    }  # fmt: skip
    iam, api = SESSION.client("iam", **options), SESSION.client("lambda", **options)
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    code = {"ZipFile": packed({"app.py": CODE})}
    api.create_function(FunctionName="f", Runtime="python3.11", Handler="app.go", Role=role, Code=code)
    found: list[int] = json.loads(api.invoke(FunctionName="f")["Payload"].read())
    assert all(alive(pid) for pid in found)
    return found


def gone(pids: list[int]) -> bool:
    """Whether all of them end soon."""
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


def test_closing_and_reset_end_them() -> None:
    with Emulator(Settings()) as cloud:
        first = started(cloud)
        cloud.reset()
        assert gone(first)
        second = started(cloud)
    assert gone(second)


def test_killing_ends_them() -> None:
    with Emulator(Settings()) as cloud:
        found = started(cloud)
        os.kill(cloud.pid, signal.SIGKILL)
        assert gone(found)
