"""SageMaker's container contract: ``/invocations``, and ``/models/{name}/invoke`` of a multi-model endpoint.

"Custom Inference Code with Hosting Services" and "Custom Containers Contract for Multi-Model Endpoints".
``/ping`` is the wire contract's. Models are loaded by what the server serves, not by ``POST /models``.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.protocols import wire

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded
    from clouddeploy.server.protocols.streaming import Streams

TARGET = "x-amzn-sagemaker-target-model"
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
MOST_ATTRIBUTES = 1024
"""Characters of custom attributes (InvokeEndpoint, ``CustomAttributes``)."""
ARCHIVE = ".tar.gz"


def install(app: App, streams: Streams) -> None:
    """Add ``/invocations`` and ``/models/{model}/invoke``."""
    models = app.models

    def invoke(exchange: Exchange) -> Awaitable[None] | None:
        target = exchange.request.headers.get(TARGET)
        named = None if target is None else target.lstrip("/").removesuffix(ARCHIVE)
        if named is not None:
            exchange.attributes["model"] = named
        return _answer(models.get(named, exchange=exchange), exchange, streams)

    def invoke_named(exchange: Exchange) -> Awaitable[None] | None:
        return _answer(wire.find(models, exchange), exchange, streams)

    app.routes.add("POST", "/invocations", invoke)
    app.routes.add("POST", "/models/{model}/invoke", invoke_named)


def _answer(loaded: Loaded, exchange: Exchange, streams: Streams) -> Awaitable[None] | None:
    given = exchange.request.headers.get(ATTRIBUTES)
    if given is None:
        return wire.answer(loaded, exchange, streams)
    if len(given) > MOST_ATTRIBUTES or not given.isascii() or not given.isprintable():
        raise WireError(
            "bad_request",
            f"the custom attributes have {len(given)} characters, or some that aren't visible US-ASCII",
            f"send at most {MOST_ATTRIBUTES} visible characters",
        )
    return wire.answer(loaded, exchange, streams, (*loaded.headers, (ATTRIBUTES, given)))
