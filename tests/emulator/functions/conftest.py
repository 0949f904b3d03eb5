"""Functions in the worker's embedded cloud; every test uses names of its own."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from dataclasses import dataclass
from typing import Any

import pytest

from clouddeploy.emulator import Emulator
from clouddeploy.emulator.functions.base_image import PYTHON, architecture
from tests.emulator.conftest import Rig

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
ECHO = "def go(event, context):\n    return event\n"


def packed(files: dict[str, str]) -> bytes:
    """Files as a zip."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return raw.getvalue()


@dataclass(frozen=True)
class Answer:
    """What Invoke gave."""

    body: Any
    error: str | None
    log: str
    version: str


class Functions:
    """Lambda's client, and the steps that most tests begin with."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.api = rig.client("lambda")
        self.role = rig.make_role(TRUST)

    def make(self, code: str = ECHO, *, files: dict[str, str] | None = None, **options: Any) -> str:
        """A function's name; its handler is ``app.go``."""
        name = self.rig.fresh("function")
        given = {
            "Runtime": f"python{PYTHON}",
            "Handler": "app.go",
            "Role": self.role,
            "Architectures": [architecture()],
            "MemorySize": 256,
            "Timeout": 10,
            "Code": {"ZipFile": packed({"app.py": code, **(files or {})})},
            **options,
        }
        self.api.create_function(FunctionName=name, **{k: v for k, v in given.items() if v is not None})
        return name

    def change(self, name: str, code: str) -> None:
        """Give a function other code."""
        self.api.update_function_code(FunctionName=name, ZipFile=packed({"app.py": code}))

    def publish(self, name: str) -> str:
        """Publish a version; its number."""
        return str(self.api.publish_version(FunctionName=name)["Version"])

    def ask(self, name: str, event: Any = None, **options: Any) -> Answer:
        """Invoke, with the end of the log."""
        found = self.api.invoke(
            FunctionName=name,
            Payload=json.dumps(event if event is not None else {}),
            LogType="Tail",
            **options,
        )
        text = base64.b64decode(found.get("LogResult", "")).decode()
        body = json.loads(found["Payload"].read() or b"null")
        return Answer(body, found.get("FunctionError"), text, found.get("ExecutedVersion", ""))

    def log(self, name: str) -> list[str]:
        """All that is in the function's log group."""
        pages = self.rig.logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
        return [event["message"] for page in pages for event in page["events"]]

    def processes(self, name: str) -> list[dict[str, Any]]:
        """The function's living processes."""
        return [p for p in self.rig.emulator.state()["functions"] if p["function"] == name]

    def await_end(self, name: str, seconds: float = 5) -> None:
        """Wait until the function has no process any more; fail when it keeps one."""
        deadline = time.monotonic() + seconds
        while self.processes(name):
            assert time.monotonic() < deadline, self.processes(name)
            time.sleep(0.02)


@pytest.fixture(scope="session")
def functions(rig: Rig, emulator: Emulator) -> Functions:
    """Lambda in the worker's cloud."""
    return Functions(rig)
