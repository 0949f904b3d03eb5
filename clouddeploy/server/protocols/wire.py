"""The wire contract's own endpoints, and whether the server lives."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.decode import JSON, NPY, Request
from clouddeploy.runtime.encode import Result, accepted
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.engine.codec import Codec
from clouddeploy.server.engine.jobs import Job, Outcome, Rows
from clouddeploy.server.message import Headers, Response, refusal
from clouddeploy.server.protocols.streaming import KINDS, Streams

if TYPE_CHECKING:
    from clouddeploy.runtime.signature import Tensor
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded, Models

JSON_FIRST = frozenset((JSON, "*/*", ""))
"""Values of Accept for which JSON is the answer."""
OK = Response(200, b'{"status":"ok"}')
MODEL = "/models/{model}"


def install(app: App, streams: Streams | None = None) -> None:
    """Add the paths that predict, and those that tell whether the server lives and is ready."""
    models = app.models
    running = streams or Streams(app.settings.streams)

    def predict(exchange: Exchange) -> Awaitable[None] | None:
        return answer(models.sole or models.get(exchange=exchange), exchange, running)

    def predict_batch(exchange: Exchange) -> Awaitable[None] | None:
        return answer(models.sole or models.get(exchange=exchange), exchange, running, batch_only=True)

    def predict_named(exchange: Exchange) -> Awaitable[None] | None:
        return answer(find(models, exchange), exchange, running)

    def ready(exchange: Exchange) -> None:
        if not app.ready:
            why = "is stopping" if app.draining else "is loading its models"
            raise WireError("not_ready", f"the server {why}", "try again in a moment")
        exchange.reply(OK)

    def live(exchange: Exchange) -> None:
        exchange.reply(OK)

    def listed(exchange: Exchange) -> None:
        tell(exchange, {"models": [described(one) for one in models.all()]})

    def one(exchange: Exchange) -> None:
        tell(exchange, described(find(models, exchange)))

    for path in ("/predict", "/"):  # where a platform's address is told without a path
        app.routes.add("POST", path, predict)
    app.routes.add("POST", "/batch_predict", predict_batch)
    for path in (MODEL, f"{MODEL}/versions/{{version}}", f"{MODEL}/labels/{{label}}"):
        app.routes.add("POST", f"{path}/predict", predict_named)
        app.routes.add("GET", path, one)
    app.routes.add("GET", "/models", listed)
    for path in ("/ping", "/ready"):
        app.routes.add("GET", path, ready)
    for path in ("/health", "/live"):
        app.routes.add("GET", path, live)


def find(models: Models, exchange: Exchange) -> Loaded:
    """The model that the path names."""
    named = exchange.attributes
    return models.get(named["model"], named.get("version"), named.get("label"), exchange)


def tell(exchange: Exchange, value: Any, status: int = 200, headers: Headers = ()) -> None:
    """Reply with `value` as JSON."""
    exchange.reply(Response(status, json.dumps(value, separators=(",", ":")).encode(), JSON, headers))


def described(loaded: Loaded) -> dict[str, Any]:
    """What is served: ``modelName`` and ``modelUrl`` are what SageMaker's multi-model contract asks for."""

    def row(tensor: Tensor) -> dict[str, Any]:
        return {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}

    signature = loaded.service.signature
    return {
        "name": loaded.name,
        "version": loaded.version,
        "release": loaded.release,
        "inputs": [row(tensor) for tensor in signature.inputs],
        "outputs": [row(tensor) for tensor in signature.outputs],
        "modelName": loaded.name,
        "modelUrl": f"/models/{loaded.name}",
    }


def answer(
    loaded: Loaded,
    exchange: Exchange,
    streams: Streams,
    headers: Headers | None = None,
    *,
    batch_only: bool = False,
) -> Awaitable[None] | None:
    """Decode, predict in a batch, encode, reply; a model that gives its predictions bit by bit streams them.

    Args:
        loaded: the version that answers.
        exchange: to reply to.
        streams: those that run.
        headers: of the response; those of `loaded` by default.
        batch_only: refuse a request for one example.

    Returns:
        What is to be awaited for a stream.

    Raises:
        WireError: the request isn't what the contract allows, or too many wait.
    """
    request = exchange.request
    head = request.head
    accept, kind = head.accept, head.content_type
    named = loaded.headers if headers is None else headers
    if loaded.service.streams or accept in KINDS:
        asked = loaded.service.decode(request.body, kind)
        _check_batch(asked, batch_only)
        return streams.answer(loaded, asked, exchange, named)

    engine = loaded.engine
    if accept in JSON_FIRST or kind == NPY:
        wanted = engine.codec.read(request.body, kind)
    else:  # what is read as rows is answered as JSON
        wanted = loaded.service.decode(request.body, kind)
    if accept not in JSON_FIRST:
        accepted(accept)
    if batch_only:
        _check_batch(wanted, batch_only)
    exchange.batch = wanted.size
    engine.put(_Asked(wanted, engine.deadline(exchange), exchange, engine.codec, accept, named))
    return None


class _Asked(Job):
    """A request of the wire contract that waits for its predictions.

    Args:
        wanted: what was asked.
        deadline: by when.
        exchange: to reply to.
        codec: writes predictions.
        accept: in which form.
        headers: of the response.
    """

    __slots__ = ("_accept", "_codec", "_exchange", "_headers")

    def __init__(
        self,
        wanted: Request | Rows,
        deadline: float | None,
        exchange: Exchange,
        codec: Codec,
        accept: str,
        headers: Headers,
    ) -> None:
        # What `Job` does itself, without the call: this is made for every request.
        self.request = wanted
        self.deadline = deadline
        self.body = exchange.request.body
        self.caller = self._exchange = exchange
        self.key = None
        self.size = wanted.size
        self.over = False
        self._codec = codec
        self._accept = accept
        self._headers = headers

    def tell(self, outcome: Outcome) -> None:
        """Reply."""
        if type(outcome) is bytes:
            self._exchange.reply(Response(200, outcome, JSON, self._headers))
            return
        try:
            if isinstance(outcome, Result):
                self._exchange.reply(Response(200, *self._codec.write(outcome, self._accept), self._headers))
                return
        except WireError as error:
            outcome = error
        assert isinstance(outcome, WireError)
        self._exchange.reply(refusal(outcome, self._headers))


def _check_batch(asked: Request | Rows, batch_only: bool) -> None:
    if batch_only and asked.single:
        raise WireError(
            "bad_input", "the body has input; a batch has inputs", 'send {"inputs": [...]}, or use /predict'
        )
