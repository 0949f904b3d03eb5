"""The target ``local`` on a state folder of its own: nothing to emulate, the machine is the cloud."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clouddeploy.deployer import Deployer
from clouddeploy.spec import Alarm, Autoscaling, Schedule
from clouddeploy.testing.faults import Call, Fault
from clouddeploy.testing.rig import Wrap

READS = ("Get", "List", "Describe", "Invoke")
CALM_S = 20.0


def _wish() -> dict[str, Any]:
    schedule = Schedule(cron="0 8 1 1 *", min=2)
    return {
        "autoscaling": Autoscaling(min=1, max=3, concurrency=50, schedules=(schedule,)),
        "alarms": (Alarm(metric="errors_5xx", above=1),),
        "env": {"GREETING": "hello"},
    }


@dataclass
class LocalRig:
    """Services of one state folder.

    Args:
        folder: it.
        keep_warm_s: sweeps go back and forth between two releases, so that these stay loaded.
    """

    folder: Path
    keep_warm_s: float = 60.0
    target: str = "local"
    attempts: int = 1
    every_read: bool = True
    wish: dict[str, Any] = field(default_factory=_wish)
    rescaled: Autoscaling = field(default_factory=lambda: Autoscaling(min=2, max=3))

    def deployer(self, wrap: Wrap | None = None) -> Deployer:
        """A deployer with nothing remembered from others."""
        deployer = Deployer(self.target, folder=self.folder, keep_warm_s=self.keep_warm_s)
        if wrap is not None:
            client = deployer.provider.client  # type: ignore[attr-defined]
            client.transport = wrap(client.transport)
        return deployer

    def error(self, fault: Fault, service: str, operation: str) -> Exception:
        """What the operating system raises."""
        text = f"injected: {fault} at {service}.{operation}"
        kinds = {
            Fault.REFUSED: PermissionError(13, text),
            Fault.THROTTLED: BlockingIOError(11, text),
            Fault.SERVER_ERROR: OSError(5, text),
        }
        return kinds.get(fault, ConnectionResetError(104, text))

    def mutates(self, call: Call) -> bool:
        """Whether a call changes something."""
        return not call[1].startswith(READS)

    def inventory(self) -> dict[str, str]:
        """Services, releases, locks, folders, and every process that has to do with them.

        What is on its way out is waited for; what stays although nothing wants it is told.
        """
        deadline = time.monotonic() + CALM_S
        while True:
            found = {**self._files(), **self._processes()}
            if not any(text.startswith("unwanted") for text in found.values()):
                return found
            if time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    def clear(self) -> None:
        """Remove every service."""
        deployer = self.deployer()
        for row in deployer.list():
            deployer.delete(row.name)

    def _files(self) -> dict[str, str]:
        found = {}
        for folder in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if not folder.is_dir():
                continue
            found[f"folder/{folder.name}"] = ""
            for release in sorted((folder / "releases").glob("[!.]*")):
                found[f"release/{folder.name}/{release.name}"] = (release / "release.json").read_text()
            wish = _read(folder / "service.json")
            if wish is not None:
                found[f"service/{folder.name}"] = json.dumps(wish["state"], sort_keys=True)
        return found

    def _processes(self) -> dict[str, str]:
        """Keepers and servers by what they belong to; servers of a release that is kept warm don't count."""
        counts: Counter[str] = Counter()
        unwanted = {}
        for words in _commands():
            if "clouddeploy.providers.local.service" in words and words[-1].startswith(f"{self.folder}/"):
                name = Path(words[-1]).name
                counts[f"process/{name}"] += 1
                if _read(self.folder / name / "service.json") is None:
                    unwanted[f"process/{name}"] = "unwanted"
            elif "clouddeploy.server.attached" in words and str(self.folder) in words[-1]:
                model = Path(json.loads(words[-1])["models"])
                name, release = model.parts[-4], model.parts[-2]
                state = (_read(self.folder / name / "service.json") or {}).get("state", {"shares": {}})
                if release in state["shares"]:
                    counts[f"process/{name}/{release}"] += 1
                elif not model.is_dir() or not state["shares"]:
                    unwanted[f"process/{name}/{release}"] = "unwanted"
        return {**{key: f"{count} running" for key, count in counts.items()}, **unwanted}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def _commands() -> Iterator[list[str]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/cmdline").read_text()
            except OSError:  # ended meanwhile
                continue
            words = text.rstrip("\0").split("\0")
            if len(words) > 1:
                yield words
