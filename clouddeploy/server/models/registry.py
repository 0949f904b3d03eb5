"""The models of one worker: what is loaded, and by whom a request is answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from typing import TYPE_CHECKING

from clouddeploy.errors import SpecError
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.models import table
from clouddeploy.server.models.keeping import Keeper
from clouddeploy.server.models.loaded import Loaded
from clouddeploy.server.models.reports import Report, write_report
from clouddeploy.server.models.shadowing import Shadows
from clouddeploy.server.models.state import StateFile, Wish

if TYPE_CHECKING:
    from clouddeploy.server.engine import Engine
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.settings import ServerSettings

FOLLOW_S = 0.2
"""How often the state file is looked at."""
STATE = "models.json"
_closing: set[asyncio.Task[None]] = set()
log = logging.getLogger(__name__)


class Models:
    """The models of one worker.

    Args:
        settings: where they are.

    Attributes:
        state: the file with what is wished of them.
        shadows: the copies that other versions get.
        wishes: what the file says, as last understood.
        sole: answers every request that names no model and no version; None when that depends.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._table: table.Table = {}
        self._default = settings.name
        self._watching: list[asyncio.Task[None]] = []
        self._mark: tuple[int, ...] = ()
        self._state_problem = ""
        self._report_problem = ""
        folder = settings.run_folder
        self.state = StateFile(settings.state if settings.state.name else folder / STATE)
        self.shadows = Shadows()
        self.sole: Loaded | None = None
        self.wishes: dict[str, Wish] = {}
        self.keeper = Keeper(settings, self)

    def get(
        self,
        name: str | None = None,
        version: str | None = None,
        label: str | None = None,
        exchange: Exchange | None = None,
    ) -> Loaded:
        """The version that answers.

        A POST that names no version gets the one that weights and its key assign to it, which then
        stands in the attribute ``arm``, and perhaps a copy of it goes to a shadow.

        Args:
            name: of the model; None for the only one, or the one that the settings name.
            version: of it.
            label: of a version, such as ``stable``.
            exchange: the request.

        Raises:
            WireError: ``not_found`` for an unknown one, ``not_ready`` while it is loaded.
        """
        entry = self._table.get(name or self._default)
        if entry is None:
            raise self._missing(name)
        if version is not None or label is not None:
            found = entry.named(version, label)
        elif exchange is None or exchange.request.head.method != "POST":
            found = entry.only or entry.versions[max(entry.weights, key=lambda v: entry.weights[v])]
        else:
            found = entry.only or self._assigned(entry, exchange)
            if entry.copies is not None:
                copies = entry.shadow_of(found)
                if copies is not None:
                    exchange.attributes["shadow"] = copies
        return found

    def _assigned(self, entry: table.Entry, exchange: Exchange) -> Loaded:
        found = entry.choose(exchange)
        exchange.attributes["arm"] = found.version
        return found

    def _missing(self, name: str | None) -> WireError:
        known = sorted(self._table)
        wanted = name or self._default
        coming, reason = self.keeper.prospect(wanted)
        if coming:
            return WireError("not_ready", f"model {wanted!r} is being loaded", "try again in a moment")
        if reason:
            return WireError("not_ready", f"no version of model {wanted!r} can be loaded", "see the log")
        shown = ", ".join(known[:20]) or "none"
        if name is None and known:
            return WireError("not_found", "the request names no model", f"name one in its path: {shown}")
        return WireError("not_found", f"there is no model {wanted[:100]!r}", f"models: {shown}")

    def all(self) -> list[Loaded]:
        """Everything that answers, by model, the newest version last."""
        return [one for name in sorted(self._table) for one in self._table[name].versions.values()]

    async def start(self) -> None:
        """Load what there is; returns when each has answered a warm-up request.

        Raises:
            LoadError: the one model, or every one of several, can't be loaded.
        """
        self._follow()
        await self.keeper.begin()
        self._watching = [asyncio.ensure_future(self._following()), asyncio.ensure_future(self.keeper.keep())]

    async def _following(self) -> None:
        """Do what the state file says, for ever."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            if self.state.mark() != self._mark:
                self.follow()

    def follow(self) -> None:
        """Do what the state file says now."""
        self._follow()
        self.renew()
        self.keeper.wake()

    def _follow(self) -> None:
        self._mark = self.state.mark()
        try:
            self.wishes = self.state.read()
            self._state_problem = ""
        except SpecError as error:
            self._state_problem = " ".join(str(error).split())
            log.error("the models' state is left as it was: %s", error)

    def have(self, loaded: Loaded) -> None:
        """Let `loaded` answer from now on, in place of what answered under its name before."""
        loop = asyncio.get_running_loop()
        weakref.finalize(loaded, _end, loop, loaded.engine).atexit = False
        self._loaded[loaded.name, loaded.version] = loaded
        self.renew()

    def drop(self, name: str, version: str) -> None:
        """Let a version answer no more; what it was given already it answers."""
        del self._loaded[name, version]
        self.renew()
        log.info("model %s version %s is unloaded", name, version)

    def loaded(self, name: str) -> dict[str, Loaded]:
        """What is loaded of a model, by version."""
        return {version: one for (model, version), one in self._loaded.items() if model == name}

    def names(self) -> set[str]:
        """Models of which something is loaded."""
        return {model for model, _ in self._loaded}

    def renew(self) -> None:
        """Look anew who answers, and tell."""
        self._table = table.make(self._loaded.values(), self.wishes)
        only = len(self._table) == 1 and self._settings.name not in self._table
        self._default = next(iter(self._table)) if only else self._settings.name
        entry = self._table.get(self._default)
        self.sole = entry.only if entry is not None and entry.copies is None else None
        self.shadows.due(due=any(entry.copies for entry in self._table.values()))
        self.report()

    def report(self) -> None:
        """Write this worker's status where the others find it; that it can't be is told once."""
        if not self._settings.run_folder.name:
            return
        before = self._report_problem
        self._report_problem = write_report(self._settings.run_folder, self.status())
        if self._report_problem and not before:
            log.warning("the status of the models can't be written: %s", self._report_problem)
        elif before and not self._report_problem:
            log.info("the status of the models is written again")

    def status(self) -> Report:
        """How each model stands in this worker."""
        models = self.keeper.status()
        for name, entry in self._table.items():
            row = models.setdefault(name, {"versions": {}})
            row["weights"] = dict(entry.weights)
            row["default"] = entry.only.version if entry.only else None
            row["labels"] = dict(entry.wish.labels)
        return Report(models, self._state_problem, self._shadow_counts())

    def _shadow_counts(self) -> dict[str, dict[str, int]]:
        return {f"{name}/{version}": dict(c) for (name, version), c in self.shadows.counts.items()}

    async def stop(self) -> None:
        """End them."""
        for task in self._watching:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for loaded in self._loaded.values():
            loaded.engine.close()


def _end(loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
    """Nobody holds a version any more, perhaps in a thread that has just ended with it."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(_close, loop, engine)


def _close(loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
    async def close() -> None:
        await engine.drained()
        engine.close()

    task = loop.create_task(close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
