"""The Open Inference Protocol V2 over HTTP ("Open Inference Protocol", HTTP/REST), with binary tensors."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import JSON, Headers, Response
from clouddeploy.server.protocols.asking import ask, framed
from clouddeploy.server.protocols.infer import read_infer, write_infer
from clouddeploy.server.protocols.tensors import NAMES, bad, outputs_of

if TYPE_CHECKING:
    from clouddeploy.runtime.signature import Tensor
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded, Models

LENGTH = "inference-header-content-length"
BINARY = "application/octet-stream"
EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "clouddeploy"


def install(app: App) -> None:
    """Add ``/v2`` and what lies below it."""
    models = app.models

    def server(exchange: Exchange) -> None:
        _tell(exchange, {"name": "clouddeploy", "version": version(), "extensions": EXTENSIONS})

    def live(exchange: Exchange) -> None:
        _tell(exchange, {"live": True})

    def ready(exchange: Exchange) -> None:
        _tell(exchange, {"ready": app.ready}, 200 if app.ready else 503)

    def model_ready(exchange: Exchange) -> None:
        _tell(exchange, {"name": find(models, exchange).name, "ready": True})

    def metadata(exchange: Exchange) -> None:
        _tell(exchange, described(find(models, exchange), models))

    def infer(exchange: Exchange) -> None:
        answer(find(models, exchange), exchange)

    app.routes.add("GET", "/v2", framed(server))
    app.routes.add("GET", "/v2/health/live", framed(live))
    app.routes.add("GET", "/v2/health/ready", framed(ready))
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        app.routes.add("GET", path, framed(metadata))
        app.routes.add("GET", f"{path}/ready", framed(model_ready))
        app.routes.add("POST", f"{path}/infer", framed(infer))


def version() -> str:
    """This server's version."""
    return str(sys.modules["clouddeploy"].__version__)


def find(models: Models, exchange: Exchange) -> Loaded:
    """The model that the path names."""
    named = exchange.attributes
    return models.get(named["model"], named.get("version"), exchange=exchange)


def _tell(exchange: Exchange, value: Any, status: int = 200) -> None:
    exchange.reply(Response(status, json.dumps(value, separators=(",", ":")).encode()))


def described(loaded: Loaded, models: Models) -> dict[str, Any]:
    """The model's metadata: -1 stands for a size that is free."""

    def row(tensor: Tensor) -> dict[str, Any]:
        shape = [-1 if size is None else size for size in tensor.shape]
        return {"name": tensor.name, "datatype": NAMES[tensor.dtype], "shape": shape}

    signature = loaded.service.signature
    return {
        "name": loaded.name,
        "versions": [one.version for one in models.all() if one.name == loaded.name],
        "platform": PLATFORM,
        "inputs": [row(tensor) for tensor in signature.inputs],
        "outputs": [row(tensor) for tensor in signature.outputs],
    }


def answer(loaded: Loaded, exchange: Exchange) -> None:
    """Decode, predict in a batch, encode, reply.

    Raises:
        WireError: the request isn't what the protocol allows, or too many wait.
    """
    request = exchange.request
    size = request.headers.get(LENGTH)
    if size is None and _media(request.headers.get("content-type", JSON)) not in (JSON, BINARY, ""):
        raise WireError(
            "unsupported_media_type",
            f"the content type is {request.headers['content-type'][:80]!r}",
            f"send {JSON}, or {BINARY} with {LENGTH}",
        )
    if size is not None and not (size.isascii() and size.isdigit() and len(size) < 16):
        raise bad(f"Inference-Header-Content-Length is {size[:40]!r}")
    asked = read_infer(request.body, None if size is None else int(size), loaded.service.signature)
    head: dict[str, Any] = {"model_name": loaded.name, "model_version": loaded.version}
    if asked.id is not None:
        head["id"] = asked.id

    def write(result: Result) -> Response:
        outputs = outputs_of(result, loaded.service.signature, asked.wanted, asked.binary)
        body, json_size = write_infer(head, outputs)
        if not json_size:
            return Response(200, body, JSON, loaded.headers)
        headers: Headers = ((LENGTH, str(json_size)), *loaded.headers)
        return Response(200, body, BINARY, headers)

    ask(loaded, asked.request, exchange, write)


def _media(header: str) -> str:
    return header.partition(";")[0].strip().lower()
