"""What can predict in this worker: models by name, versions of each, and who gets which."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.engine import Engine
from clouddeploy.server.message import Headers

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.settings import ServerSettings


@dataclass(frozen=True)
class Loaded:
    """One version of a model, ready to answer.

    Args:
        name: the model's.
        version: of it, a whole number as text.
        service: decodes, predicts and encodes.
        engine: makes batches of requests for it.
        release: the model's digest.
        headers: what every answer of it carries.
    """

    name: str
    version: str
    service: Service
    engine: Engine
    release: str
    headers: Headers


class Models:
    """The models of one worker.

    Args:
        settings: where they are.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._loaded: dict[str, Loaded] = {}

    def get(
        self,
        name: str | None = None,
        version: str | None = None,
        label: str | None = None,
        exchange: Exchange | None = None,
    ) -> Loaded:
        """The version that answers.

        Raises:
            WireError: ``not_found`` for an unknown one, ``not_ready`` while it is loaded.
        """
        found = self._loaded.get(name or self._settings.name)
        if found is not None:
            return found
        if name in (None, self._settings.name):
            raise WireError("not_ready", "the model is being loaded", "try again in a moment")
        raise WireError("not_found", f"there is no model {name!r}", f"models: {self._settings.name}")

    def all(self) -> list[Loaded]:
        """Everything that is loaded."""
        return list(self._loaded.values())

    async def start(self) -> None:
        """Load what there is; returns when each has answered a warm-up request."""
        loop = asyncio.get_running_loop()
        folder = Path(self._settings.models)
        found = await loop.run_in_executor(None, self._load, folder)
        self._loaded[found.name] = found

    def _load(self, folder: Path) -> Loaded:
        from clouddeploy.runtime.service import Service

        service = Service.load(folder)
        engine = Engine(
            service,
            max_batch=self._settings.max_batch,
            max_delay_ms=self._settings.max_delay_ms,
            queue=self._settings.queue,
        )
        engine.warm_up()
        return Loaded(
            self._settings.name,
            "1",
            service,
            engine,
            service.release,
            (("x-clouddeploy-model", service.release),),
        )

    async def stop(self) -> None:
        """End them."""
        for loaded in self.all():
            loaded.engine.close()
