"""The wire contract's own endpoints, SageMaker's container contract, and whether the server lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clouddeploy.runtime.decode import JSON, Request
from clouddeploy.runtime.encode import Result, accepted
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.engine.batching import Outcome
from clouddeploy.server.engine.fast import Rows
from clouddeploy.server.message import Response, refusal

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded

JSON_FIRST = frozenset((JSON, "*/*", ""))
"""Values of Accept for which JSON is the answer."""
OK = Response(200, b'{"status":"ok"}')


def install(app: App) -> None:
    """Add the paths that predict, and those that tell whether the server lives and is ready."""

    def predict(exchange: Exchange) -> None:
        answer(app.models.get(exchange=exchange), exchange)

    def ready(exchange: Exchange) -> None:
        if not app.ready:
            why = "is stopping" if app.draining else "is loading its models"
            raise WireError("not_ready", f"the server {why}", "try again in a moment")
        exchange.reply(OK)

    def live(exchange: Exchange) -> None:
        exchange.reply(OK)

    for path in ("/predict", "/batch_predict", "/invocations"):
        app.routes.add("POST", path, predict)
    for path in ("/ping", "/ready"):
        app.routes.add("GET", path, ready)
    for path in ("/health", "/live"):
        app.routes.add("GET", path, live)


def answer(loaded: Loaded, exchange: Exchange) -> None:
    """Decode, predict in a batch, encode, reply.

    Raises:
        WireError: the request isn't what the contract allows, or too many wait.
    """
    request = exchange.request
    headers = request.head.headers
    accept = headers.get("accept", "*/*")
    kind = headers.get("content-type", JSON)
    named = loaded.headers

    def done(outcome: Outcome) -> None:
        if type(outcome) is bytes:
            exchange.reply(Response(200, outcome, JSON, named))
            return
        try:
            if isinstance(outcome, Result):
                exchange.reply(Response(200, *loaded.service.encode(outcome, accept), named))
                return
        except WireError as error:
            outcome = error
        assert isinstance(outcome, WireError)
        exchange.reply(refusal(outcome, named))

    asked: Request | Rows | None = None
    if loaded.engine.fast is not None and kind == JSON and accept in JSON_FIRST:
        asked = loaded.engine.fast.read(request.body)
    if asked is None:
        accepted(accept)
        asked = loaded.service.decode(request.body, kind)
    exchange.batch = asked.size
    loaded.engine.submit(asked, None, done, exchange.id, request.body)
