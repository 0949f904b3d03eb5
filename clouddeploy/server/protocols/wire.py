"""The wire contract's own endpoints, SageMaker's container contract, and whether the server lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clouddeploy.runtime.decode import JSON
from clouddeploy.runtime.encode import Result, accepted
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import Response, refusal

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded

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
    accepted(accept)
    service = loaded.service
    asked = service.decode(request.body, headers.get("content-type", JSON))
    exchange.attributes["batch"] = asked.size

    def done(outcome: Result | WireError) -> None:
        named = (("x-clouddeploy-model", loaded.release), ("x-request-id", exchange.id))
        if isinstance(outcome, Result):
            try:
                body, kind = service.encode(outcome, accept)
            except WireError as error:
                outcome = error
            else:
                exchange.reply(Response(200, body, kind, named))
                return
        exchange.reply(refusal(outcome, named))

    loaded.engine.submit(asked, None, done, exchange.id)
