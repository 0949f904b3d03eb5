"""What this machine makes of a wish, and whether what the model needs is installed here."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata, util
from typing import TYPE_CHECKING

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import ModelError, TargetError
from clouddeploy.providers.local.mapping import scaling_findings
from clouddeploy.spec import Deployment

if TYPE_CHECKING:
    from packaging.requirements import Requirement

SERVER_NEEDS = ("httptools", "msgspec")


def findings(deployment: Deployment) -> Iterator[Finding]:
    """What can't be done, or not quite, and what follows.

    Raises:
        SpecError: a schedule can't be read.
    """
    yield from scaling_findings(deployment.autoscaling)
    yield from _compute(deployment)
    yield from _access(deployment)
    if deployment.alarms:
        yield Finding(
            "alarms",
            "approximated",
            "they go on and off in the log and in describe(), and don't roll an update back",
            "watch the log",
        )
    if any(alarm.notify for alarm in deployment.alarms):
        yield Finding("alarms.notify", "impossible", "there are no topics here", "watch the log")


def _compute(deployment: Deployment) -> Iterator[Finding]:
    compute = deployment.compute
    here = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    if compute.architecture != here and compute.architecture != "x86_64":
        yield Finding("compute.architecture", "impossible", f"this machine is {here}", f"set it to {here!r}")
    if compute.instance is not None:
        yield Finding("compute.instance", "impossible", "it runs on this machine", "leave it away")
    if compute.memory_mb is not None:
        yield Finding(
            "compute.memory_mb", "impossible", "a process here may take what memory there is", "leave it away"
        )


def _access(deployment: Deployment) -> Iterator[Finding]:
    access = deployment.access
    for name in ("role", "kms_key", "subnets", "cors_origins"):
        if getattr(access, name):
            yield Finding(
                f"access.{name}", "impossible", "this machine has nothing of that kind", "leave it away"
            )
    if access.public:
        yield Finding(
            "access.public",
            "exact",
            "the service listens on every address of this machine, without encryption or keys",
            "keep a firewall before it",
        )


def preflight(deployment: Deployment) -> None:
    """Make sure that what the server and the model need can be imported. Nothing is installed.

    Raises:
        TargetError: the server's own needs aren't installed.
        ModelError: the model's aren't, or in other versions.
    """
    absent = [name for name in SERVER_NEEDS if util.find_spec(name) is None]
    if absent:
        raise TargetError(
            f"target 'local' needs {absent[0]!r}, which isn't installed",
            why="the model server is made of it",
            fix="pip install 'clouddeploy[serve]'",
        )
    missing = list(lacking(deployment.model.requirements))
    if missing:
        lines = " ".join(f"'{line}'" for line, _ in missing)
        raise ModelError(
            f"the model needs {', '.join(line for line, _ in missing)}",
            why="; ".join(why for _, why in missing) + f" in {sys.prefix}, where the model would run",
            fix=f"{sys.executable} -m pip install {lines}",
        )


def lacking(requirements: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those of `requirements` that this environment doesn't fulfil, and why."""
    from packaging.requirements import Requirement

    for line in requirements:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            why = _lack(wanted)
            if why:
                yield line, why


def _lack(wanted: Requirement) -> str:
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return f"{wanted.name} isn't installed"
    if wanted.specifier.contains(version, prereleases=True):
        return ""
    return f"{wanted.name} is {version}"
