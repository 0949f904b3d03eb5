"""All revisions, and the limits of this machine that they share."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clouddeploy.emulator.functions.guardian import Guardian
from clouddeploy.emulator.google.plane.build import Built, Workshop
from clouddeploy.emulator.google.plane.image_environment import with_environment
from clouddeploy.emulator.google.plane.instance import GRACE_S, Instance, NotReady
from clouddeploy.emulator.google.plane.revision import Revision, page
from clouddeploy.emulator.google.plane.spec import Log, RevisionSpec
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.settings import Settings

BODY_LIMIT = 32 * 1024 * 1024
SWEEP_S = 0.2
SOURCE_UNUSED_S = 3600.0
STARTS_KEPT = 1000
logger = logging.getLogger(__name__)


class Revisions:
    """The data plane.

    Args:
        folder: where sources and temporary files are; made when it is needed.
        settings: asked whenever a figure is needed: `idle_stop_s`, `keep_unused_s`,
            `max_function_processes`.
        url: where the embedded Google Cloud answers.
        queue_s: seconds that a request waits at least for an instance, before it is refused with 429.
    """

    def __init__(
        self, folder: Path, settings: Callable[[], Settings], url: Callable[[], str], *, queue_s: float = 10.0
    ) -> None:
        self.queue_s = queue_s
        self._folder, self._settings, self._url = folder, settings, url
        self._workshop = Workshop(folder / "source")
        self._guardian = Guardian()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._revisions: dict[str, Revision] = {}
        self._live: set[Instance] = set()
        self._kept: list[tuple[float, Instance]] = []
        self._starts: deque[tuple[str, float]] = deque(maxlen=STARTS_KEPT)
        self._closed = threading.Event()
        self._sweeper: threading.Thread | None = None

    def build(self, zip_path: Path, *, entry_point: str, runtime: str, log: Log) -> Built:
        """Build a function's source; equal bytes are built once.

        Args:
            zip_path: the source's archive.
            entry_point: the function's name in ``main.py``.
            runtime: such as ``python313``.
            log: hears severity and text of the build's lines.

        Raises:
            BuildFailed: it can't be built.
        """
        return self._workshop.build(zip_path, entry_point=entry_point, runtime=runtime, log=log)

    def add(self, spec: RevisionSpec) -> None:
        """Begin to serve a revision: one instance is started, or as many as are kept warm.

        Raises:
            NotReady: it doesn't listen; nothing is left of it then.
        """
        self._sweep_from_now_on()
        if spec.environment is None:
            spec = with_environment(spec)
        revision = Revision(spec, self)
        with self._lock:
            old = self._revisions.get(spec.name)
            self._revisions[spec.name] = revision
        if old is not None:
            self._retire(old)
        try:
            revision.begin()
        except BaseException:
            with self._lock:
                if self._revisions.get(spec.name) is revision:
                    del self._revisions[spec.name]
            self._retire(revision)
            raise

    def serve(self, name: str, *, min: int, service_max: int | None = None) -> None:
        """Keep so many instances of a revision warm from now on; an unknown one is none's business.

        Args:
            service_max: instances that all revisions of its service may have together; None: no limit.
        """
        revision = self._revisions.get(name)
        if revision is not None:
            revision.min, revision.service_max = min, service_max
            revision.keep_warm()

    def handle(self, name: str, request: Request) -> Response:
        """The answer of a revision to a request, whose `target` is as the container shall see it."""
        revision = self._revisions.get(name)
        if revision is None:
            return page(503, "Service Unavailable")
        if len(request.body) > BODY_LIMIT:
            return page(413, "Request Entity Too Large")
        return revision.handle(request)

    def remove(self, name: str) -> None:
        """End a revision; requests under way may finish within the grace time. One that is gone is fine."""
        with self._lock:
            revision = self._revisions.pop(name, None)
        if revision is not None:
            self._retire(revision)

    def _retire(self, revision: Revision) -> None:
        keeping = self._settings().keep_unused_s > 0
        for instance in revision.retire():
            if keeping and not instance.busy and instance.alive:
                instance.log = _unheard
                with self._lock:
                    self._kept.append((time.monotonic(), instance))
            else:
                self._beside(self._drain, instance)

    def _drain(self, instance: Instance) -> None:
        deadline = time.monotonic() + GRACE_S
        while instance.busy and time.monotonic() < deadline and not self._closed.is_set():
            time.sleep(0.02)
        self.end(instance)

    def _beside(self, work: Callable[[Instance], None], instance: Instance) -> None:
        threading.Thread(target=work, args=(instance,), name="ending", daemon=True).start()

    def make(self, spec: RevisionSpec, reason: str) -> Instance:
        """An instance that listens: one that was kept of equal bytes and settings, or a new one.

        One that was kept shows the ``K_REVISION`` that it was started with.

        Raises:
            NotReady: it doesn't.
        """
        kept = self._take_kept(spec)
        if kept is not None:
            kept.log = spec.log
            return kept
        spec.log("INFO", f"Starting new instance. Reason: {reason}")
        number = next(self._numbers)
        instance = Instance(spec, self._folder / f"instance-{number}", self._url(), self._guardian)
        with self._lock:
            self._live.add(instance)
        try:
            if self._closed.is_set():
                raise NotReady("The embedded cloud is closing.")
            instance.start()
        except BaseException:
            self.end(instance, grace_s=0)
            raise
        if self._closed.is_set():
            self.end(instance, grace_s=0)
        self._starts.append((spec.name, instance.cold_start_s))
        return instance

    def _take_kept(self, spec: RevisionSpec) -> Instance | None:
        with self._lock:
            for entry in self._kept:
                instance = entry[1]
                if instance.alive and instance.spec.key == spec.key:
                    self._kept.remove(entry)
                    return instance
        return None

    def has_room(self, asking: Revision) -> bool:
        """Whether its service and this machine may have an instance more; the longest idle makes room."""
        if not self._service_has_room(asking):
            return False
        with self._lock:
            if len(self._live) < self._settings().max_function_processes:
                return True
            kept = self._kept.pop(0)[1] if self._kept else None
            others = [r for r in self._revisions.values() if r is not asking]
        if kept is not None:
            self._beside(self.end, kept)
            return True
        for revision in sorted(others, key=Revision.idle_since):
            instance = revision.surrender()
            if instance is not None:
                self._beside(self.end, instance)
                return True
        return False

    def _service_has_room(self, asking: Revision) -> bool:
        """Whether all revisions of its service have fewer instances than they may have together."""
        if asking.service_max is None:
            return True
        with self._lock:
            siblings = [r for r in self._revisions.values() if r.spec.of == asking.spec.of]
        if sum(r.size for r in siblings) < asking.service_max:
            return True
        others = sorted((r for r in siblings if r is not asking), key=Revision.idle_since)
        instance = next(filter(None, (r.surrender() for r in others)), None)
        if instance is not None:
            self._beside(self.end, instance)
        return instance is not None

    def end(self, instance: Instance, *, grace_s: float = GRACE_S) -> None:
        """End an instance, with whatever it has started."""
        instance.end(grace_s=0 if self._closed.is_set() else grace_s)
        with self._lock:
            self._live.discard(instance)

    def _sweep_from_now_on(self) -> None:
        with self._lock:
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="instances", daemon=True)
                self._sweeper.start()

    def _sweep(self) -> None:
        while not self._closed.wait(SWEEP_S):
            try:
                self._look()
            except Exception:  # the boundary: nobody else would hear of it, and the next look may do better
                logger.exception("looking after the instances failed")

    def _look(self) -> None:
        settings, now = self._settings(), time.monotonic()
        with self._lock:
            revisions, live = list(self._revisions.values()), list(self._live)
            old = [e for e in self._kept if now - e[0] > settings.keep_unused_s or not e[1].alive]
            self._kept = [entry for entry in self._kept if entry not in old]
        for instance in live:
            self._watch(instance)
        for _, instance in old:
            self._beside(self.end, instance)
        for revision in revisions:
            self._workshop.touch(revision.spec.root)
            revision.sweep(settings.idle_stop_s, lambda instance: self._beside(self.end, instance))
        self._workshop.forget(SOURCE_UNUSED_S)

    def _watch(self, instance: Instance) -> None:
        used = instance.over_memory()
        if used:
            limit = instance.spec.memory_mb
            text = (
                f"Memory limit of {limit:.0f} MiB exceeded with {used:.0f} MiB used. Consider increasing the "
                "memory limit, see https://cloud.google.com/run/docs/configuring/memory-limits"
            )
            instance.killed_for = text
            instance.log("ERROR", text)
            self.end(instance, grace_s=0)

    def processes(self) -> list[dict[str, Any]]:
        """Each living instance: ``pid``, ``port``, ``revision``, ``service``, ``busy``, ``cold_start_s``."""
        with self._lock:
            revisions = list(self._revisions.items())
        return [
            {
                "pid": instance.pid,
                "port": instance.port,
                "revision": name,
                "service": revision.spec.service,
                "busy": instance.busy,
                "cold_start_s": instance.cold_start_s,
            }
            for name, revision in revisions
            for instance in list(revision.instances)
            if instance.alive
        ]

    def starts(self) -> list[tuple[str, float]]:
        """The revision's name and the seconds of each cold start since the last `clear`, oldest first."""
        return list(self._starts)

    def clear(self) -> None:
        """End everything and forget it."""
        with self._lock:
            revisions = list(self._revisions.values())
            self._revisions.clear()
            self._kept.clear()
            live = list(self._live)
        for revision in revisions:
            revision.retire()
        for instance in live:
            instance.end(grace_s=0)
            with self._lock:
                if not instance.starting:
                    self._live.discard(instance)
        self._starts.clear()
        self._workshop.clear()

    def close(self) -> None:
        """End everything, for good."""
        self._closed.set()
        self._workshop.close()
        self.clear()
        # A start under way ends by itself now; nothing may be left half started when this process ends.
        deadline = time.monotonic() + GRACE_S
        while self._live and time.monotonic() < deadline:
            self.clear()
            time.sleep(0.02)
        self._guardian.close()


def _unheard(severity: str, text: str) -> None:
    """The log of an instance that no revision has."""
