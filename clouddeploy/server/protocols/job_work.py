"""A worker's part in the jobs: it takes those that nobody works on, oldest first."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.decode import JSON, Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.engine.jobs import Outcome
from clouddeploy.server.protocols.job_store import End, Head, JobStore
from clouddeploy.server.protocols.streaming import LINES, in_model
from clouddeploy.server.protocols.webhooks import PAUSES_S, Webhooks

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.models import Loaded

AT_ONCE = 8
"""Jobs that one worker works on; they share batches with each other and with other requests."""
LOOK_S = 0.5
SWEEP_S = 10.0
AGAIN_S = 0.2
PATIENCE_S = 600.0
PAUSE_S = 3.0
"""After a job that could not be worked on, such as for a full disk."""
MOST_TRIES = 3
"""A job that ended so many workers isn't tried again."""
log = logging.getLogger(__name__)


class Workbench:
    """Works on jobs in one worker.

    Args:
        app: of the worker.
        store: where jobs are kept.
        hooks: where their end may be told.
        describe: a job's description as JSON, to be told.
    """

    def __init__(self, app: App, store: JobStore, hooks: Webhooks, describe: Callable[[str], bytes]) -> None:
        self._app, self._store, self._hooks, self._describe = app, store, hooks, describe
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._over: set[str] = set()
        self._awake: asyncio.Event = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._swept = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    def cancel(self, job: str) -> None:
        """Stop to work on a job that has ended otherwise."""
        task = self._tasks.get(job)
        if task is not None:
            task.cancel()

    async def start(self) -> None:
        """Begin to look for work."""
        self._looking = asyncio.ensure_future(self._look())

    async def stop(self) -> None:
        """Leave what isn't done to another worker."""
        for task in (self._looking, *self._tasks.values()):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _look(self) -> None:
        """Take up jobs, for ever."""
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._awake.wait(), LOOK_S)
            self._awake.clear()
            if not self._app.ready:
                continue
            try:
                await self._take_up()
            except OSError as error:
                log.error("jobs can't be looked at: %s", error)

    async def _take_up(self) -> None:
        if self.now() > self._swept + SWEEP_S:
            self._swept = self.now()
            await asyncio.to_thread(self._store.sweep)
        for job, claim in await asyncio.to_thread(self._claimed):
            task = asyncio.ensure_future(self._work(job, claim))
            self._tasks[job] = task
            task.add_done_callback(lambda _, job=job: self._ended(job))  # type: ignore[misc]

    def _ended(self, job: str) -> None:
        del self._tasks[job]
        self.wake()

    def _claimed(self) -> list[tuple[str, int]]:
        """Jobs with something to do that are ours now."""
        found: list[tuple[str, int]] = []
        ids = self._store.ids()
        self._over &= set(ids)
        for job in ids:
            if len(self._tasks) + len(found) >= AT_ONCE:
                break
            if job in self._tasks or job in self._over or not self._to_do(job):
                continue
            claim = self._store.claim(job)
            if claim is not None:
                found.append((job, claim))
        return found

    def _to_do(self, job: str) -> bool:
        if self._store.end(job) is None:
            return True
        try:
            webhook = self._store.head(job).webhook
        except WireError:  # removed meanwhile
            return False
        hook = self._store.hook(job)
        if not webhook or hook.get("over"):
            self._over.add(job)
            return False
        return bool(hook.get("next", 0.0) <= self.now())

    async def _work(self, job: str, claim: int) -> None:
        try:
            head = self._store.head(job)
            if self._store.end(job) is None:
                await self._predict(job, head)
            elif head.webhook and not self._store.hook(job).get("over"):
                await self._tell(job, head)
        except WireError as error:
            log.info("job %s is gone: %s", job, error)
        except OSError as error:
            log.error("job %s can't be worked on for now: %s", job, error)
            await asyncio.sleep(PAUSE_S)  # while the disk is full, at once would be for ever
        finally:
            os.close(claim)

    async def _predict(self, job: str, head: Head) -> None:
        tries = self._store.begin(job)
        if tries > MOST_TRIES:
            error = WireError(
                "prediction_failed", f"{MOST_TRIES} workers ended while they worked on it", "see the log"
            )
            self._store.finish(job, End("failed", self.now(), error.status), error.body())
            return
        try:
            body, kind = await self._result(job, head)
            end = End("done", self.now(), 200, kind)
        except WireError as error:
            body, end = error.body(), End("failed", self.now(), error.status)
        except asyncio.CancelledError:
            self._store.put_back(job)
            raise
        try:
            await asyncio.to_thread(self._store.finish, job, end, body)
        except OSError as error:
            lost = WireError("prediction_failed", f"the result can't be kept: {error.strerror}", "try again")
            try:
                self._store.finish(job, End("failed", self.now(), lost.status), lost.body())
            except OSError:
                self._store.put_back(job)
                raise
        if head.webhook:
            self.wake()

    async def _result(self, job: str, head: Head) -> tuple[bytes, str]:
        """What ``/predict`` would have answered; as lines where the model gives it bit by bit.

        Raises:
            WireError: what it would have refused.
        """
        loaded: Loaded = await self._patiently(lambda: self._found(head))
        body = await asyncio.to_thread(self._store.body, job)
        request = loaded.service.decode(body, head.content_type)
        if loaded.service.streams:
            return await self._lines(loaded, request, job), LINES
        outcome: Result = await self._patiently(lambda: _asked(loaded, request, job))
        return loaded.service.encode(outcome, head.accept)

    async def _found(self, head: Head) -> Loaded:
        return self._app.models.get(head.model, head.version)

    async def _lines(self, loaded: Loaded, request: Request, job: str) -> bytes:
        items = loaded.service.stream(request)
        lines: list[bytes] = []

        def step() -> bool:
            item = next(items, None)
            if item is not None:
                lines.append(loaded.service.encode(item, JSON)[0] + b"\n")
            return item is not None

        try:
            while await self._patiently(lambda: in_model(loaded.engine, step, job)):
                if self._store.end(job) is not None:
                    break
        finally:
            await self._patiently(lambda: in_model(loaded.engine, items.close, job))
        return b"".join(lines)

    async def _patiently(self, act: Callable[[], Any]) -> Any:
        """What `act` returns; a queue that is full, or a model that is being loaded, is waited for."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await act()
            except WireError as error:
                if error.code not in ("overloaded", "not_ready") or time.monotonic() > end:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def _tell(self, job: str, head: Head) -> None:
        attempts = int(self._store.hook(job).get("attempts", 0)) + 1
        body = await asyncio.to_thread(self._describe, job)
        try:
            await asyncio.to_thread(self._hooks.tell, head.webhook, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            over = attempts > len(PAUSES_S)
            note: dict[str, Any] = {"attempts": attempts, "over": over, "error": str(error)[:200]}
            if not over:
                note["next"] = self.now() + PAUSES_S[attempts - 1]
            log.warning("the end of job %s can't be told to %s: %s", job, head.webhook, error)
        else:
            note = {"attempts": attempts, "over": True, "delivered": self.now()}
        self._store.note_hook(job, note)


async def _asked(loaded: Loaded, request: Request, job: str) -> Result:
    """What the engine gives.

    Raises:
        WireError: what it refused.
    """
    answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def done(outcome: Outcome) -> None:
        if answered.done():
            return
        if isinstance(outcome, Result):
            answered.set_result(outcome)
        else:
            assert isinstance(outcome, WireError)
            answered.set_exception(outcome)

    loaded.engine.submit(request, None, done, job)
    return await answered
