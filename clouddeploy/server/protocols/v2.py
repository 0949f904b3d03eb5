"""The Open Inference Protocol V2 over HTTP ("Open Inference Protocol", HTTP/REST), with binary tensors."""

from __future__ import annotations

import json
import sys
import weakref
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.engine.jobs import Job, Outcome, Rows, Texts
from clouddeploy.server.message import JSON, Headers, Response
from clouddeploy.server.protocols.asking import check_whole, text_error
from clouddeploy.server.protocols.infer import Infer, read_infer, write_infer
from clouddeploy.server.protocols.quick_infer import QuickInfer
from clouddeploy.server.protocols.tensors import NAMES, bad, outputs_of

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service
    from clouddeploy.runtime.signature import Tensor
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded, Models

LENGTH = "inference-header-content-length"
BINARY = "application/octet-stream"
EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "clouddeploy"
Known = MutableMapping["Loaded", QuickInfer | None]


def install(app: App) -> None:
    """Add ``/v2`` and what lies below it."""
    models = app.models
    known: Known = weakref.WeakKeyDictionary()

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
        answer(find(models, exchange), exchange, known)

    app.frames["/v2"] = text_error
    app.routes.add("GET", "/v2", server)
    app.routes.add("GET", "/v2/health/live", live)
    app.routes.add("GET", "/v2/health/ready", ready)
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        app.routes.add("GET", path, metadata)
        app.routes.add("GET", f"{path}/ready", model_ready)
        app.routes.add("POST", f"{path}/infer", infer)


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


def answer(loaded: Loaded, exchange: Exchange, known: Known) -> None:
    """Decode, predict in a batch, encode, reply.

    Args:
        loaded: the version that answers.
        exchange: to reply to.
        known: the quick readers of versions, as far as they are known.

    Raises:
        WireError: the request isn't what the protocol allows, or too many wait.
    """
    request = exchange.request
    size = request.headers.get(LENGTH)
    if size is None and _media(request.head.content_type) not in (JSON, BINARY, ""):
        raise WireError(
            "unsupported_media_type",
            f"the content type is {request.headers['content-type'][:80]!r}",
            f"send {JSON}, or {BINARY} with {LENGTH}",
        )
    if size is not None and not (size.isascii() and size.isdigit() and len(size) < 16):
        raise bad(f"Inference-Header-Content-Length is {size[:40]!r}")
    check_whole(loaded)
    if loaded not in known:
        known[loaded] = QuickInfer.of(loaded)
    quick = known[loaded] if size is None else None
    found = None if quick is None else quick.read(request.body)
    if found is not None:
        rows, given_id = found
        job = _Inferring(rows, exchange, loaded, Infer(Request({}, rows.size), given_id), quick)
    else:
        asked = read_infer(request.body, None if size is None else int(size), loaded.service.signature)
        job = _Inferring(asked.request, exchange, loaded, asked, None)
    exchange.batch = job.size
    loaded.engine.put(job)


class _Inferring(Job):
    """An inference request that waits for its predictions.

    Args:
        wanted: what was asked.
        exchange: to reply to.
        loaded: the version that answers.
        asked: what else was asked.
        quick: read it, and writes its answer.
    """

    __slots__ = ("_asked", "_exchange", "_loaded", "_quick")

    def __init__(
        self,
        wanted: Request | Rows,
        exchange: Exchange,
        loaded: Loaded,
        asked: Infer,
        quick: QuickInfer | None,
    ) -> None:
        super().__init__(wanted, loaded.engine.deadline(exchange), exchange.request.body, exchange)
        self._exchange, self._loaded, self._asked, self._quick = exchange, loaded, asked, quick

    def read_again(self, service: Service) -> Request:
        """As `Job` has it, by the protocol's own reader."""
        return read_infer(self.body, None, service.signature).request

    def tell(self, outcome: Outcome) -> None:
        """Reply."""
        headers = self._loaded.headers
        try:
            if isinstance(outcome, Texts):
                outcome = self._quickly(outcome)
            if isinstance(outcome, bytes):
                self._exchange.reply(Response(200, outcome, JSON, headers))
                return
            if isinstance(outcome, Result):
                self._exchange.reply(self._written(outcome))
                return
        except WireError as error:
            outcome = error
        assert isinstance(outcome, WireError)
        self._exchange.reply(text_error(outcome, headers))

    def _quickly(self, texts: Texts) -> bytes:
        assert self._quick is not None
        return self._quick.write(texts, self._asked.id)

    def _written(self, result: Result) -> Response:
        loaded, asked = self._loaded, self._asked
        outputs = outputs_of(result, loaded.service.signature, asked.wanted, asked.binary)
        head: dict[str, Any] = {"model_name": loaded.name, "model_version": loaded.version}
        if asked.id is not None:
            head["id"] = asked.id
        body, json_size = write_infer(head, outputs)
        if not json_size:
            return Response(200, body, JSON, loaded.headers)
        headers: Headers = ((LENGTH, str(json_size)), *loaded.headers)
        return Response(200, body, BINARY, headers)


def _media(header: str) -> str:
    return header.partition(";")[0].strip().lower()
