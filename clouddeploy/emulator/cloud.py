"""The embedded cloud in one process: moto, what we put before it, and the containers."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from clouddeploy.emulator import admin
from clouddeploy.emulator.autoscaling.records import Scaling
from clouddeploy.emulator.backends.application import Moto
from clouddeploy.emulator.backends.storage import Buckets
from clouddeploy.emulator.backends.turns import turn
from clouddeploy.emulator.call import Call, Refused, identify, json_answer, refusal
from clouddeploy.emulator.clients import Clients
from clouddeploy.emulator.cloudformation.records import Stacks
from clouddeploy.emulator.constraints import check
from clouddeploy.emulator.functions import invoking, url_calls
from clouddeploy.emulator.functions.fleet import Fleet
from clouddeploy.emulator.functions.metrics import FunctionMetrics
from clouddeploy.emulator.functions.sources import Sources
from clouddeploy.emulator.google.cloud import Google
from clouddeploy.emulator.http.listener import LOOPBACK, Listener
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.http_api import gateway
from clouddeploy.emulator.plane.pool import Pool
from clouddeploy.emulator.registry import Store as Registry
from clouddeploy.emulator.registry import api as registry_api
from clouddeploy.emulator.registry import ecr, stand_ins
from clouddeploy.emulator.routes import CHECKED, ROUTES
from clouddeploy.emulator.s3.parts import Parts
from clouddeploy.emulator.s3.policies import Policies
from clouddeploy.emulator.sagemaker import images, invocations
from clouddeploy.emulator.sagemaker.fleet import Fleets
from clouddeploy.emulator.sagemaker.metrics import Metrics
from clouddeploy.emulator.sagemaker.records import Store
from clouddeploy.emulator.sagemaker.roles import Roles
from clouddeploy.emulator.settings import Settings

WORKERS = 16
log = logging.getLogger(__name__)


class Cloud:
    """The embedded cloud, listening from `start` to `close`.

    Args:
        settings: times and limits.
        folder: where containers keep their files; must exist.
        port: 0 lets the operating system choose.
        google_port: likewise, for Google Cloud.
    """

    def __init__(self, settings: Settings, folder: Path, *, port: int = 0, google_port: int = 0) -> None:
        self.settings = settings
        self.identity = secrets.token_hex(16)
        self.store = Store()
        self.roles = Roles()
        self.scaling = Scaling()
        self.parts: Parts = {}
        self.metrics = Metrics()
        self.function_metrics = FunctionMetrics()
        self.sources = Sources()
        self.s3 = Buckets()
        self.stacks = Stacks()
        self.policies: Policies = {}
        self.clients = Clients(lambda: self.url)
        self.moto = Moto()
        self.registry = Registry(folder / "registry")
        self.registry.spaces += [stand_ins.space(), ecr.space()]
        stand_ins.fill(self.registry)
        self.pool = Pool(self.s3, folder, lambda: self.settings)
        self.functions = Fleet(folder / "functions", lambda: self.settings, lambda: self.url, self.registry)
        self.listener = Listener(self.handle, port=port)
        self.google = Google(folder / "google", lambda: self.settings, self.registry, port=google_port)
        self.fleets = Fleets(
            self.pool, self.s3, lambda: self.settings, lambda: self.url, partial(images.find, self)
        )
        self.stopped = threading.Event()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="change")

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.listener.port}"

    def start(self) -> None:
        """Begin to answer."""
        self.moto.warm()
        self.google.start()
        self.listener.start()

    def close(self) -> None:
        """Stop answering and end every container."""
        self.stopped.set()
        self.listener.stop()
        self.google.close()
        self.pool.close()
        self.functions.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def handle(self, request: Request) -> Response:
        """The answer to one request: an invocation, an admin call, a call of ours, or moto's."""
        name = invocations.name_in(request)
        if name is not None:
            return invocations.invoke(self, request, name)
        name = invoking.name_in(request)
        if name is not None:
            return invoking.invoke(self, request, name)
        url = url_calls.identity_in(request)
        if url is not None:
            return url_calls.answer(self, request, url)
        api = gateway.api_in(request)
        if api is not None:
            return gateway.answer(self, request, *api)
        image = registry_api.answer(self.registry, request)
        if image is not None:
            return image
        if request.target.startswith(admin.PREFIX):
            return admin.handle(self, request)
        call = identify(request)
        self.count(call.service, call.operation)
        try:
            return self._answer(call)
        except Refused as error:
            return refusal(call, error)

    def _answer(self, call: Call) -> Response:
        self.metrics.before(call)
        self.function_metrics.before(call)
        self.functions.journal.before(call)
        if call.service in CHECKED:
            check(call.service, call.operation, call.params)
        route = ROUTES.get((call.service, call.operation))
        found = route(self, call) if route is not None else None
        if found is None:
            with turn(call.service):
                return self.moto(call.request)
        return found if isinstance(found, Response) else json_answer(found)

    def count(self, service: str, operation: str) -> None:
        """Note that an operation was called."""
        self._counts[service, operation] += 1

    def spawn(self, work: Callable[..., None], *arguments: Any) -> None:
        """Go on with `work` in a thread; what it raises is logged."""

        def run() -> None:
            try:
                work(*arguments)
            except Exception:  # the boundary: nobody waits for this thread's result
                log.exception("%s failed", work.__name__)

        self._workers.submit(run)

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        if seconds > 0:
            self.stopped.wait(seconds)

    def reset(self) -> None:
        """Forget everything that was created, and end every container."""
        self.store.clear()
        self.roles.clear()
        self.scaling.clear()
        self.parts.clear()
        self.stacks.clear()
        self.policies.clear()
        self.metrics.clear()
        self.function_metrics.clear()
        self.functions.clear()
        self.moto.reset()
        self.google.reset()
        self.registry.clear()
        stand_ins.fill(self.registry)
        self.pool.clear()
        self._counts.clear()

    def state(self) -> Mapping[str, Any]:
        """What goes on: settings, living processes, and how often each operation was called."""
        counts = self._counts + self.google.calls
        calls = {f"{service}.{operation}": n for (service, operation), n in sorted(counts.items())}
        return {
            "url": self.url,
            "identity": self.identity,
            "processes": self.pool.processes(),
            "functions": self.functions.processes(),
            "google": self.google.state(),
            "calls": calls,
        }
