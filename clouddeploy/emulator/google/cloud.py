"""The embedded Google Cloud in one place: what it knows, and the answer to each request."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from clouddeploy.emulator.google.accounts import Accounts
from clouddeploy.emulator.google.call import Call
from clouddeploy.emulator.google.errors import ApiError, answer, invalid
from clouddeploy.emulator.google.images import Image, Images
from clouddeploy.emulator.google.logs import Logs
from clouddeploy.emulator.google.monitoring import Requests
from clouddeploy.emulator.google.operations import Operation, Operations
from clouddeploy.emulator.google.packages import Package
from clouddeploy.emulator.google.policies import Policies
from clouddeploy.emulator.google.refusals import Refusals
from clouddeploy.emulator.google.registry import pull, space
from clouddeploy.emulator.google.settings import GoogleSettings
from clouddeploy.emulator.http.listener import LOOPBACK, Listener
from clouddeploy.emulator.http.message import Request, Response

if TYPE_CHECKING:
    from clouddeploy.emulator.google.plane import Revisions
    from clouddeploy.emulator.google.route import Route
    from clouddeploy.emulator.google.storage import Storage
    from clouddeploy.emulator.registry import Store
    from clouddeploy.emulator.registry.store import Repository
    from clouddeploy.emulator.settings import Settings

# "System parameters" (Cloud APIs): every method takes them.
COMMON = frozenset(
    {"$alt", "alt", "$.xgafv", "prettyPrint", "fields", "key", "access_token", "oauth_token", "quotaUser",
     "uploadType", "upload_protocol", "callback", "userProject", "$fields", "$prettyPrint"}
)  # fmt: skip


class Google:
    """The embedded Google Cloud, listening from `start` to `close`.

    Args:
        folder: where sources, objects and instances keep their files.
        settings: as they are now.
        registry: the images of the embedded registry.
        port: 0 lets the operating system choose.
    """

    def __init__(
        self, folder: Path, settings: Callable[[], Settings], registry: Store | None = None, *, port: int = 0
    ) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.calls: Counter[tuple[str, str]] = Counter()
        self.functions: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.revisions: dict[str, dict[str, Any]] = {}
        self.started: set[str] = set()
        self.made: Counter[str] = Counter()
        self.repositories: dict[str, dict[str, Any]] = {}
        self.packages: dict[str, Package] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.alerts: dict[str, dict[str, Any]] = {}
        self.accounts = Accounts()
        self.policies = Policies()
        self.logs = Logs()
        self.requests = Requests()
        self.operations = Operations(self._spawn)
        self.refusals = Refusals(lambda: self.google)
        self.images = Images(self._pull)
        self.listener = Listener(self.handle, port=port, streamed=self._streams)
        self.registry = registry
        if registry is not None:
            registry.spaces.append(space(self))
        self._folder = folder
        self._stopped = threading.Event()
        self._changing: dict[str, threading.Lock] = {}

    @property
    def google(self) -> GoogleSettings:
        """The settings that are Google's alone."""
        return self.settings().google

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.listener.port}"

    @cached_property
    def storage(self) -> Storage:
        """Cloud Storage; made when it is first asked for."""
        from clouddeploy.emulator.google.storage import Storage
        from clouddeploy.emulator.google.storage_access import permits

        return Storage(
            self._folder / "storage",
            lambda: self.url,
            taken=lambda: self.google.taken_buckets,
            permits=partial(permits, self),
        )

    @cached_property
    def plane(self) -> Revisions:
        """What runs revisions; made when it is first asked for."""
        from clouddeploy.emulator.google.plane import Revisions

        return Revisions(self._folder / "revisions", self.settings, lambda: self.url)

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """Every method; loaded with the first call, because starting must cost nothing."""
        from clouddeploy.emulator.google.routes import ROUTES

        return ROUTES

    def start(self) -> None:
        """Begin to answer."""
        self.listener.start()

    def close(self) -> None:
        """Stop answering and end every instance."""
        self._stopped.set()
        self.listener.stop()
        if "plane" in self.__dict__:
            self.plane.close()

    def reset(self) -> None:
        """Forget everything that was created, and end every instance."""
        with self.lock:
            for known in (self.functions, self.services, self.revisions, self.repositories, self.packages):
                known.clear()
            for part in (self.secrets, self.alerts, self.accounts, self.policies, self.logs, self.requests):
                part.clear()
            self.operations.clear()
            self.images.clear()
            self.started.clear()
            self.made.clear()
            self.calls.clear()
        for name in ("plane", "storage"):
            if name in self.__dict__:
                getattr(self, name).clear()

    def handle(self, request: Request) -> Response:
        """The answer to one request: of a service, the metadata server, the registry, storage or an API."""
        from clouddeploy.emulator.google import metadata, serving

        found = serving.answer(self, request) or metadata.answer(request)
        if found is not None:
            return found
        method = self.storage.identify(request)
        if method is not None:
            return self._stored(request, method)
        return self._pulled(request) or self._api(request)

    def begin(
        self, parent: str, metadata: dict[str, Any], work: Callable[[Operation], dict[str, Any]]
    ) -> Operation:
        """Begin an operation, or one that never ends if the settings want that."""
        return self.operations.begin(parent, metadata, work, stuck=self.refusals.stuck())

    @contextmanager
    def changing(self, service: str) -> Iterator[None]:
        """Let one change of a service at a time go on."""
        with self.lock:
            lock = self._changing.setdefault(service, threading.Lock())
        with lock:
            yield

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        if seconds > 0:
            self._stopped.wait(seconds)

    def stored(self) -> dict[str, Repository]:
        """What the registry of images holds, by name."""
        return self.registry.repositories() if self.registry is not None else {}

    def state(self) -> Mapping[str, Any]:
        """What runs."""
        return {"url": self.url, "instances": self.plane.processes() if "plane" in self.__dict__ else []}

    def _spawn(self, work: Callable[..., None], *arguments: Any) -> None:
        # A thread each, because operations may sleep or build for long, and none may wait for another.
        threading.Thread(target=work, args=arguments, name="operation", daemon=True).start()

    def _streams(self, request: Request) -> bool:
        return self.storage.streams(request)

    def _pull(self, uri: str) -> Image | None:
        return pull(self.registry, uri, self._folder / "images") if self.registry is not None else None

    def _pulled(self, request: Request) -> Response | None:
        from clouddeploy.emulator.registry import api

        return api.answer(self.registry, request) if self.registry is not None else None

    def _stored(self, request: Request, method: str) -> Response:
        self.calls["storage", method] += 1
        try:
            self.refusals.check("storage", method, request.raw_path)
        except ApiError as error:
            return error.response()
        found = self.storage.handle(request)
        assert found is not None, "it was identified as storage's"
        return found

    def _api(self, request: Request) -> Response:
        path = "/".join(unquote(p) if "%2F" not in p.upper() else p for p in request.raw_path.split("/"))
        for route in self.routes:
            match = route.path.fullmatch(path) if route.verb == request.method else None
            if match is None:
                continue
            self.calls[route.service, route.method] += 1
            try:
                return answer(self._called(route, match[1], request))
            except ApiError as error:
                return error.response()
        return ApiError("NOT_FOUND", f"Method not found: {request.method} {request.raw_path}").response()

    def _called(self, route: Route, name: str, request: Request) -> dict[str, Any]:
        from clouddeploy.emulator.google import projects, schema
        from clouddeploy.emulator.google.principals import principal_of

        principal = principal_of(request.headers.get("authorization", ""))
        if principal is None:
            raise ApiError(
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
                "or other valid authentication credential. See "
                "https://developers.google.com/identity/sign-in/web/devconsole-project.",
            )
        projects.admit(self, _service_of(route), name)
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        _check_query(query, route)
        body = _json(request.body)
        if route.schema is not None:
            body = schema.read(route.schema, route.message, body, route.at)
        if not self.google.stuck_operations:
            self.operations.release()
        self.refusals.check(route.service, route.method, name)
        return route.handler(self, Call(route.service, route.method, name, query, body, principal))


def _service_of(route: Route) -> str:
    return "functions" if route.service == "operations" else route.service


def _check_query(query: Mapping[str, str], route: Route) -> None:
    for name in query:
        if name not in COMMON and name not in route.query:
            raise invalid(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. Field '
                f"'{name}' could not be found in request message.",
                name,
            )


def _json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    if not isinstance(found, dict):
        raise invalid("Invalid JSON payload received. The root element must be an object.")
    return found
