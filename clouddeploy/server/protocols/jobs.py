"""Predictions for later: ``POST /jobs`` takes what ``/predict`` takes, and the result is fetched later."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.decode import JSON
from clouddeploy.runtime.encode import accepted
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import Response
from clouddeploy.server.protocols import wire
from clouddeploy.server.protocols.job_store import End, Head, JobStore
from clouddeploy.server.protocols.job_work import Workbench
from clouddeploy.server.protocols.webhooks import HEADER, Webhooks

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange

FOLDER = "jobs"
INLINE_BYTES = 1 << 20
"""A longer result isn't part of the job's description."""


def install(app: App) -> None:
    """Add ``/jobs``, and work on what is kept there."""
    settings = app.settings
    if not settings.jobs or not settings.run_folder.name:
        return
    store = JobStore(
        settings.run_folder / FOLDER,
        most=settings.jobs,
        most_bytes=settings.jobs_bytes,
        expiry_s=settings.job_expiry_s,
    )
    hooks = Webhooks.of(settings)
    bench = Workbench(app, store, hooks, lambda job: json.dumps(described(store, job)).encode())
    app.on_start.append(bench.start)
    app.on_stop.append(bench.stop)
    Jobs(app, store, hooks, bench).install()


def described(store: JobStore, job: str) -> dict[str, Any]:
    """A job's state, and its result when that is JSON and not too long.

    Raises:
        WireError: ``not_found``.
    """
    head, end = store.head(job), store.end(job)
    tries = store.tries(job)
    found: dict[str, Any] = {
        "id": job,
        "state": end.state if end else "running" if tries else "queued",
        "created": head.created,
        "tries": tries,
    }
    if head.webhook:
        found["webhook"] = {"url": head.webhook, **store.hook(job)}
    if end is None:
        return found
    found["finished"] = end.finished
    if end.state == "cancelled":
        return found
    found["result_url"] = f"/jobs/{job}/result"
    result = store.result(job)
    if end.content_type == JSON and len(result) <= INLINE_BYTES:
        value = json.loads(result)
        found.update(value if end.state == "failed" else {"result": value})
    return found


class Jobs:
    """The endpoints.

    Args:
        app: of one worker.
        store: where jobs are kept.
        hooks: where their end may be told.
        bench: works on them.
    """

    def __init__(self, app: App, store: JobStore, hooks: Webhooks, bench: Workbench) -> None:
        self._app, self._store, self._hooks, self._bench = app, store, hooks, bench

    def install(self) -> None:
        """Add them."""
        add = self._app.routes.add
        add("POST", "/jobs", self._post)
        add("POST", "/models/{model}/jobs", self._post)
        add("GET", "/jobs/{job}", self._get)
        add("GET", "/jobs/{job}/result", self._result)
        add("DELETE", "/jobs/{job}", self._delete)

    async def _post(self, exchange: Exchange) -> None:
        """Check what can be checked now, keep the job, tell where it is."""
        request = exchange.request
        named = exchange.attributes.get("model")
        loaded = self._app.models.get(named, exchange=exchange)
        kind, accept = request.headers.get("content-type", JSON), request.headers.get("accept", "*/*")
        if not loaded.service.streams:
            accepted(accept)
        exchange.batch = loaded.service.decode(request.body, kind).size
        url = request.headers.get(HEADER, "")
        if url:
            self._hooks.check(url)
        store = self._store
        job = store.new_id()
        head = Head(
            id=job,
            created=int(job[:16], 16) / 1e6,
            content_type=kind,
            accept=accept,
            model=named,
            version=None,
            owner=_owner(exchange),
            webhook=url,
            request_id=exchange.id,
        )
        await asyncio.to_thread(store.add, head, request.body)
        exchange.attributes["job"] = job
        self._bench.wake()
        place = f"/jobs/{job}"
        wire.tell(exchange, {"id": job, "state": "queued", "url": place}, 202, (("location", place),))

    def _known(self, exchange: Exchange) -> str:
        """The job that the path names, if it is whose key asks."""
        job: str = exchange.attributes["job"]
        if self._store.head(job).owner != _owner(exchange):
            raise WireError("not_found", f"there is no job {job[:60]!r}", "it never was, or is forgotten")
        return job

    async def _get(self, exchange: Exchange) -> None:
        job = self._known(exchange)
        found = await asyncio.to_thread(described, self._store, job)
        wire.tell(exchange, found, 200, () if "finished" in found else (("retry-after", "1"),))

    async def _result(self, exchange: Exchange) -> None:
        """What ``/predict`` would have answered."""
        job = self._known(exchange)
        end = self._store.end(job)
        if end is None:
            raise WireError("not_ready", "the job isn't done yet", "ask again a little later")
        if end.state == "cancelled":
            raise WireError("not_found", "the job was cancelled", "send it anew")
        body = await asyncio.to_thread(self._store.result, job)
        exchange.reply(Response(end.status, body, end.content_type))

    async def _delete(self, exchange: Exchange) -> None:
        job, store = self._known(exchange), self._store
        end = End("cancelled", self._bench.now())
        if await asyncio.to_thread(store.finish, job, end):
            self._bench.cancel(job)
            wire.tell(exchange, {"id": job, "state": "cancelled"})
            return
        await asyncio.to_thread(store.remove, job)
        wire.tell(exchange, {"id": job, "state": "forgotten"})


def _owner(exchange: Exchange) -> str:
    """Whose key asks; empty on a server without keys."""
    return str(exchange.attributes.get("key") or "")
