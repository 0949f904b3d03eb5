"""What a function's processes are made of, what goes in and what comes out."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clouddeploy.emulator.backends.functions import FORGOTTEN, Function
from clouddeploy.emulator.functions.code import Prepared
from clouddeploy.emulator.functions.journal import Stream
from clouddeploy.emulator.functions.report import Report
from clouddeploy.emulator.plane.environment import digest

ON_DEMAND, PROVISIONED, SNAP_START = "on-demand", "provisioned-concurrency", "snap-start"


@dataclass(frozen=True)
class Event:
    """One event for a function.

    Args:
        payload: JSON.
        arn: the function's ARN as the caller named it.
        client_context: JSON of the caller's, or empty.
        request_id: of this invocation.
    """

    payload: bytes
    arn: str
    client_context: str = ""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Outcome:
    """What became of an event.

    Args:
        request_id: of the invocation.
        body: the function's JSON, or an error object when it failed.
        failed: the function raised, ended or took too long.
        version: the one that ran.
        tail: the end of the invocation's log.
        seconds: how long it took, its initialisation left out.
    """

    request_id: str
    body: bytes
    failed: bool
    version: str
    tail: bytes
    seconds: float


@dataclass(frozen=True)
class Recipe:
    """One function version, ready to be started; `likeness` is equal for versions of one content."""

    key: str
    likeness: str
    region: str
    name: str
    version: str
    handler: str
    runtime: str
    memory_mb: int
    timeout_s: float
    own: Mapping[str, str]
    initialization: str
    stream: Stream
    report: Report
    prepared: Prepared
    endpoint: str

    @classmethod
    def of(cls, function: Function, prepared: Prepared, endpoint: str, initialization: str) -> Recipe:
        """The recipe of a new execution environment, with a log stream of its own."""
        logging = function.extras.get("LoggingConfig") or {}
        as_json = logging.get("LogFormat") == "JSON"
        today = time.strftime("%Y/%m/%d", time.gmtime())
        group = logging.get("LogGroup") or f"/aws/lambda/{function.name}"
        own = dict(function.variables)
        if as_json:
            own["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
            own["AWS_LAMBDA_LOG_LEVEL"] = logging.get("ApplicationLogLevel", "INFO")
        return cls(
            key=key_of(function),
            likeness=likeness_of(function, initialization),
            region=function.region,
            name=function.name,
            version=function.version,
            handler=prepared.handler or function.handler,
            runtime=function.runtime,
            memory_mb=function.memory_mb,
            timeout_s=function.timeout_s,
            own=own,
            initialization=initialization,
            stream=Stream(function.region, group, f"{today}/[{function.version}]{secrets.token_hex(16)}"),
            report=Report(
                as_json=as_json,
                runtime=function.runtime,
                version=function.version,
                memory_mb=function.memory_mb,
            ),
            prepared=prepared,
            endpoint=endpoint,
        )

    def variables(self, runtime_api: str, scratch: Path) -> dict[str, str]:
        """The process's environment.

        "Defined runtime environment variables" (Lambda Developer Guide); besides, the variables by which
        AWS's clients find the embedded cloud, and a folder for temporary files of its own.
        """
        environment = self.prepared.environment
        return {
            "PATH": f"{environment.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "TMPDIR": str(scratch),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            **self.prepared.variables,
            **self.own,
            "AWS_ACCESS_KEY_ID": "function",
            "AWS_SECRET_ACCESS_KEY": "function",
            "AWS_SESSION_TOKEN": "function",
            "_HANDLER": self.handler,
            **({"AWS_EXECUTION_ENV": f"AWS_Lambda_{self.runtime}"} if self.runtime else {}),
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": self.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": self.initialization,
            "AWS_LAMBDA_LOG_GROUP_NAME": self.stream.group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.stream.name,
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "LAMBDA_TASK_ROOT": str(self.prepared.task_root),
            "LAMBDA_RUNTIME_DIR": str(environment.site / "awslambdaric"),
        }


def key_of(function: Function) -> str:
    """Equal for versions whose processes can't be told apart; another one after each change."""
    return digest([function.version, *_told(function)])


def likeness_of(function: Function, initialization: str) -> str:
    """Equal for versions whose processes differ in no more than the version's number."""
    return digest([initialization, *_told(function)])


def _told(function: Function) -> list[str]:
    told = [function.region, function.name, function.sha256, function.runtime]
    told += [function.handler, str(function.memory_mb), str(function.timeout_s), function.architecture]
    told += [f"{k}={v}" for k, v in sorted(function.variables.items())]
    told += [layer["Arn"] for layer in function.raw.layers]
    told += [repr(function.image_settings)] if function.package == "Image" else []
    told += [repr(function.extras.get(name)) for name in FORGOTTEN]
    return told
