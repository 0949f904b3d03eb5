"""What a revision is, as the control plane tells the data plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clouddeploy.emulator.plane.environment import digest

Log = Callable[[str, str], None]


@dataclass(frozen=True, kw_only=True)
class RevisionSpec:
    """One revision of a Cloud Run service; a function has such a service too.

    Args:
        name: of the revision; `service`, `project`, `region`: whose it is.
        root: the unpacked source, or the root of an image's files.
        environment: folder of the virtual environment whose ``python`` runs it; None: one with nothing but
            what the image holds (see ``image_environment.py``).
        command: what starts the container, arguments included; empty: functions-framework.
        env: the environment variables that its owner set. Values, and parts of `command`, that are
            absolute paths which exist below `root` are read as paths there.
        entry_point: the function's name in ``main.py``, for functions-framework.
        signature: ``http`` or ``cloudevent``.
        workdir: where an image starts, a path below `root`.
        concurrency: requests that one instance gets at once.
        min: instances kept warm while `Revisions.serve` doesn't say otherwise.
        max: instances at most.
        timeout_s: of a request.
        memory_mb: an instance that has more is ended.
        cpu: processors; tells numerical libraries how many threads they may have.
        startup_timeout_s: until it must listen.
        account: e-mail of the service account that it runs as.
        log: receives severity (``DEFAULT``, ``INFO``, ``WARNING``, ``ERROR``) and text of each line.
    """

    name: str
    service: str
    project: str
    region: str
    root: Path
    environment: Path | None = None
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    entry_point: str = ""
    signature: str = "http"
    workdir: str = ""
    concurrency: int = 1
    min: int = 0
    max: int = 100
    timeout_s: float = 60
    memory_mb: float = 256
    cpu: float = 1
    startup_timeout_s: float = 240
    account: str = ""
    log: Log = field(default=lambda *_: None)

    @property
    def of(self) -> tuple[str, str, str]:
        """Equal for revisions of one service."""
        return self.project, self.region, self.service

    @property
    def key(self) -> str:
        """Equal for revisions whose processes differ in nothing but the revision's name."""
        told = [self.service, self.project, self.region, str(self.root), str(self.environment)]
        told += [repr(list(self.command)), self.entry_point, self.signature, self.workdir, self.account]
        told += [str(self.concurrency), str(self.timeout_s), str(self.memory_mb), str(self.cpu)]
        return digest([*told, *(f"{k}={v}" for k, v in sorted(self.env.items()))])
