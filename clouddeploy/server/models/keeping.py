"""Loads what should be loaded and unloads what shouldn't, one version after another."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.errors import LoadError
from clouddeploy.server.models.folders import Candidate, Folders, Found, Mark, is_model, mark_of
from clouddeploy.server.models.loaded import Loaded
from clouddeploy.server.models.loading import in_thread, load, reason
from clouddeploy.server.models.policy import Policy, newest_first
from clouddeploy.server.models.state import Wish
from clouddeploy.server.models.trials import Trials

if TYPE_CHECKING:
    from clouddeploy.server.models.registry import Models
    from clouddeploy.server.settings import ServerSettings

PATIENCE_S = 0.02
AGAIN_S = 0.1
LINES = 8
"""Lines of a trace that tell enough."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A version that can't be loaded; it is tried again when its folder changes or somebody asks to.

    Args:
        mark: of the folder.
        attempt: of the wish.
        reason: one line.
        trace: the last lines of the trace.
    """

    mark: Mark
    attempt: int
    reason: str
    trace: tuple[str, ...] = ()


class Unloadable(LoadError):
    """Nothing can be loaded, so there is nothing to serve.

    Args:
        message: why.
        trace: the last lines of the trace.
    """

    def __init__(self, message: str, trace: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.trace = tuple(trace)


class Keeper:
    """Keeps loaded what should be.

    Args:
        settings: where the models are, and which versions are loaded.
        models: what it keeps.
    """

    def __init__(self, settings: ServerSettings, models: Models) -> None:
        self._settings, self._models = settings, models
        self._root = Path(settings.models).absolute()
        self._policy = Policy.parse(settings.versions)
        self._alone = bool(settings.models.name) and is_model(self._root)
        root = None if self._alone or not settings.models.name else self._root
        self._folders = Folders(root, settings.settle_s)
        self._trials = Trials(settings.run_folder)
        self._found: Found = {}
        self._marks: dict[tuple[str, str], Mark] = {}
        self._failures: dict[tuple[str, str], Failure] = {}
        self._loading: tuple[str, str] | None = None
        self._wake = asyncio.Event()
        self._root_problem = ""
        self._late: Mapping[tuple[str, str], str] = {}
        self._begun = False

    def wake(self) -> None:
        """Something else may have to be loaded now."""
        self._wake.set()

    async def begin(self) -> None:
        """Load what is there.

        Raises:
            LoadError: nothing of what is there can be loaded.
        """
        await self._look()
        while self._folders.waiting or (self._folders.late and not self._found):
            await asyncio.sleep(PATIENCE_S)
            await self._look()
        if self._root_problem:
            raise Unloadable(f"{self._root} can't be read: {self._root_problem}")
        await self._arrange()
        self._begun = True
        if self._failures and not self._models.all():
            (name, version), failure = next(iter(self._failures.items()))
            what = "" if self._alone else f"model {name!r} version {version}: "
            raise Unloadable(what + failure.reason, failure.trace)

    async def keep(self) -> None:
        """Follow the folders and the wishes, for ever."""
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), self._settings.watch_s)
            except TimeoutError:
                self._wake.clear()
            self._wake.clear()
            try:
                await self._look()
                await self._arrange()
            except Exception:  # what serves must go on serving
                log.exception("the models couldn't be looked through; tried again in a moment")

    async def _look(self) -> None:
        wishes = self._models.wishes
        extra = {(m, v): Path(folder) for m, w in wishes.items() for v, folder in w.folders.items()}
        try:
            found = await in_thread(lambda: self._folders.scan(extra))
        except OSError as error:
            if str(error) != self._root_problem:
                log.error("the models' folder can't be read; what is loaded stays: %s", error)
            self._root_problem = str(error)
            return
        self._root_problem = ""
        for (name, version), why in self._folders.late.items():
            if self._late.get((name, version)) != why:
                log.warning("model %s version %s isn't taken yet: %s", name, version, why)
        self._late = self._folders.late
        if self._alone:
            mine = Candidate(self._root, mark_of(self._root) if not self._found else self._mark_alone())
            found = {**found, self._settings.name: {**found.get(self._settings.name, {}), "1": mine}}
        self._found = found

    def _mark_alone(self) -> Mark:
        return self._found[self._settings.name]["1"].mark

    async def _arrange(self) -> None:
        for name in sorted({*self._found, *self._models.names()}):
            await self._arrange_model(name)
        self._models.report()

    async def _arrange_model(self, name: str) -> None:
        """Load what lacks; when it is there, unload what is too much."""
        while True:
            there = self._found.get(name, {})
            wanted = self._wanted(name, there)
            missing = [v for v in wanted if self._lacks(name, v, there[v])]
            if not missing:
                break
            if not await self._load(name, missing[0], there[missing[0]]):
                asyncio.get_running_loop().call_later(AGAIN_S, self.wake)
                return
        for version in set(self._models.loaded(name)) - set(wanted):
            del self._marks[name, version]
            self._models.drop(name, version)

    def _wanted(self, name: str, there: Mapping[str, Candidate]) -> list[str]:
        """Versions that should answer, the newest first: those that failed don't count."""
        wish = self._models.wishes.get(name, Wish())
        loaded = self._models.loaded(name)
        sound = {v for v, candidate in there.items() if v in loaded or not self._failed(name, v, candidate)}
        sound -= set(wish.unload)
        policy = Policy.parse(wish.policy) if wish.policy else self._policy
        return newest_first((policy.choose(sound) | wish.named) & sound)

    def _lacks(self, name: str, version: str, candidate: Candidate) -> bool:
        """Whether the folder isn't what is loaded; one that failed is left alone."""
        changed = self._marks.get((name, version)) != candidate.mark
        retried = (name, version) in self._failures
        return (changed or retried) and not self._failed(name, version, candidate)

    def _failed(self, name: str, version: str, candidate: Candidate) -> bool:
        failure = self._failures.get((name, version))
        if failure is None:
            return False
        wish = self._models.wishes.get(name, Wish())
        return failure.mark == candidate.mark and failure.attempt >= wish.attempt

    async def _load(self, name: str, version: str, candidate: Candidate) -> bool:
        """Load a version, or note why it can't be; False while another worker tries it."""
        key = (name, version)
        attempt = self._models.wishes.get(name, Wish()).attempt
        with self._trials.turn(name, version, candidate.mark, attempt, first=not self._begun) as turn:
            if turn == "later":
                return False
            self._loading = key
            self._models.report()
            try:
                if turn == "deadly":
                    raise LoadError("a worker's process ended while it loaded it")
                alone = candidate.folder == self._root
                loaded = await in_thread(lambda: _load_whole(name, version, candidate, self._settings, alone))
            except Exception as error:  # noqa: BLE001  # the model's code is anybody's
                self._note(key, candidate, attempt, error)
                return True
            finally:
                self._loading = None
        self._failures.pop(key, None)
        self._marks[key] = candidate.mark
        self._models.have(loaded)
        return True

    def _note(self, key: tuple[str, str], candidate: Candidate, attempt: int, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error.__cause__ or error)).splitlines()
        self._failures[key] = Failure(candidate.mark, attempt, reason(error), tuple(trace[-LINES:]))
        if not self._alone:  # or it is told by who started the server
            log.error("model %s version %s can't be loaded\n%s", *key, "\n".join(trace))

    def prospect(self, name: str) -> tuple[bool, str]:
        """Whether a model without a version that answers may get one soon, and else why it has none."""
        there = self._found.get(name, {})
        failures = [self._failures[name, v] for v in newest_first(there) if (name, v) in self._failures]
        coming = not self._begun or any((name, v) not in self._failures for v in there)
        return coming, failures[0].reason if failures else ""

    def status(self) -> dict[str, dict[str, Any]]:
        """Each version that is known, by model: its state, and the reason when it failed."""
        found: dict[str, dict[str, Any]] = {}
        for name in sorted({*self._found, *self._models.names()}):
            loaded = self._models.loaded(name)
            rows = {}
            for version in newest_first({*self._found.get(name, {}), *loaded}):
                failure = self._failures.get((name, version))
                state = "available" if version in loaded else "failed" if failure else "unloaded"
                if (name, version) == self._loading:
                    state = "loading"
                release = loaded[version].release if version in loaded else ""
                rows[version] = {
                    "state": state,
                    "release": release,
                    "reason": failure.reason if failure else "",
                    "attempt": failure.attempt if failure else 0,
                }
            found[name] = {"versions": rows}
        return found


def _load_whole(
    name: str, version: str, candidate: Candidate, settings: ServerSettings, alone: bool
) -> Loaded:
    """Load, and make sure that it was one version from the first file to the last."""
    loaded = load(name, version, candidate.folder, settings, alone=alone)
    if not alone and mark_of(candidate.folder) != candidate.mark:
        loaded.engine.close()
        raise LoadError("its folder changed while it was loaded")
    return loaded
