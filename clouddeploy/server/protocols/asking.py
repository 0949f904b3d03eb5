"""What every protocol does between its decoder and its encoder: ask the engine, reply in its own frame."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import JSON, Headers, Response, refusal

if TYPE_CHECKING:
    from clouddeploy.server.engine.jobs import Outcome, Rows
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded

Write = Callable[[Result], Response]
Frame = Callable[[WireError, Headers], Response]
CODE = "x-clouddeploy-error"
"""Header with the wire contract's error code, where a protocol's own error has no place for it."""


def text_error(error: WireError, headers: Headers = ()) -> Response:
    """``{"error": "what is wrong; what to do"}``, as TensorFlow Serving and the V2 protocol have it."""
    told = refusal(error, ((CODE, error.code), *headers))
    body = json.dumps({"error": f"{error.message}; {error.fix}"}, separators=(",", ":")).encode()
    return Response(told.status, body, JSON, told.headers)


def ask(
    loaded: Loaded,
    request: Request | Rows,
    exchange: Exchange,
    write: Write,
    frame: Frame = text_error,
    body: bytes = b"",
) -> None:
    """Predict in a batch with others, then reply.

    Args:
        loaded: the version that answers.
        request: what was asked.
        exchange: to reply to.
        write: the response for predictions; a WireError that it raises is the answer.
        frame: the response for an error.
        body: the bytes of a request that was read fast, as the wire contract has them.

    Raises:
        WireError: too many wait, or the model streams.
    """

    def done(outcome: Outcome) -> None:
        if type(outcome) is bytes:
            exchange.reply(Response(200, outcome, JSON, loaded.headers))
            return
        try:
            if isinstance(outcome, Result):
                exchange.reply(write(outcome))
                return
        except WireError as error:
            outcome = error
        assert isinstance(outcome, WireError)
        exchange.reply(frame(outcome, loaded.headers))

    check_whole(loaded)
    exchange.batch = request.size
    loaded.engine.ask(request, exchange, done, body)


def check_whole(loaded: Loaded) -> None:
    """Refuse to ask a model that gives its predictions bit by bit, for a protocol that has no streams.

    Raises:
        WireError: ``not_acceptable``.
    """
    if loaded.service.streams:
        raise WireError(
            "not_acceptable",
            f"the model {loaded.name} gives its predictions bit by bit, which this protocol has not",
            f"ask /models/{loaded.name}/predict",
        )
