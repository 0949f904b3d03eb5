"""From a model's folder to a version that answers; nothing sees it before it has predicted once."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clouddeploy.runtime.errors import LoadError
from clouddeploy.server.models.folders import IGNORED
from clouddeploy.server.models.importing import Scope
from clouddeploy.server.models.loaded import Loaded

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service
    from clouddeploy.server.settings import ServerSettings

WARM_UP = "warmup.json"
"""File in a model's folder with a body such as ``{"inputs": [[1, 2]]}``, which the model must answer before
it serves. Without one it is tried on zeros, which it may refuse."""
T = TypeVar("T")
log = logging.getLogger(__name__)


def load(name: str, version: str, folder: Path, settings: ServerSettings, *, alone: bool) -> Loaded:
    """Load the model in `folder` and let it predict. Blocks; to be called outside of the event loop.

    Args:
        name: the model's.
        version: of it.
        folder: as an artifact has it, unpacked.
        settings: of the server.
        alone: the process holds no other version, so its code may import whenever and however it likes.

    Raises:
        LoadError: the model's files, its code or its loading are at fault.
        Exception: what its first prediction raised.
    """
    from clouddeploy.runtime.service import Service
    from clouddeploy.server.engine import Engine
    from clouddeploy.server.guards import tensors

    began = time.perf_counter()
    service = Service.load(folder) if alone else _beside_others(folder, settings.run_folder)
    engine = Engine(
        service,
        max_batch=settings.max_batch,
        max_delay_ms=settings.max_delay_ms,
        queue=settings.queue,
        timeout_ms=settings.timeout_ms,
        max_wait_ms=settings.max_wait_ms,
    )
    engine.check = tensors.check_of(settings)
    warming = time.perf_counter()
    engine.warm_up(_example(folder))
    headers = (("x-clouddeploy-model", service.release), ("x-clouddeploy-version", version))
    load_s, warm_up_s = time.perf_counter() - began, time.perf_counter() - warming
    told = "model %s version %s is loaded (%.2f s, of which the first predictions took %.3f s)"
    log.info(told, name, version, load_s, warm_up_s)
    return Loaded(name, version, service, engine, service.release, headers, load_s)


def _example(folder: Path) -> Any:
    """The inputs in the model's own `WARM_UP` file; None without one."""
    path = folder / WARM_UP
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())["inputs"]
    except (ValueError, KeyError, TypeError) as error:
        raise LoadError(f'{WARM_UP} holds no {{"inputs": […]}}: {error}') from error


def _beside_others(folder: Path, run_folder: Path) -> Service:
    """Load with modules of its own, and from a copy of the code.

    Code may import further modules at any time, and must not find those of the version that has taken the
    place of its folder meanwhile.
    """
    from clouddeploy.runtime.service import Service

    copy = Path(tempfile.mkdtemp(prefix="code-", dir=run_folder if run_folder.name else None))
    try:
        app = folder / "code" / "app"
        if app.is_dir():
            shutil.copytree(app, copy / "app", ignore=shutil.ignore_patterns(IGNORED))
        with Scope(copy / "app").entered():
            service = Service.load(folder, copy)
    except BaseException:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    weakref.finalize(service, shutil.rmtree, copy, ignore_errors=True)
    return service


async def in_thread(act: Callable[[], T]) -> T:
    """What `act` returns or raises, run in a thread that never keeps the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = act()
        except SystemExit as error:
            failure = RuntimeError(f"the model's code called exit({error.code})")
        except BaseException as error:  # noqa: BLE001  # raised again where it is awaited
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=run, name="models", daemon=True).start()
    return await future


def reason(error: BaseException) -> str:
    """Why a version can't be loaded, in one line for its status."""
    own = type(error).__name__ in ("LoadError", "WireError")
    text = str(error) if own else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:2000]
