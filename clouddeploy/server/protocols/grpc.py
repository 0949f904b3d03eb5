"""The Open Inference Protocol V2 over gRPC, on a port of its own, through the same guards and batches."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from clouddeploy.errors import SpecError, TargetError
from clouddeploy.runtime.arrays import from_json
from clouddeploy.runtime.decode import Request as Arrays
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.signature import Tensor
from clouddeploy.server import tls
from clouddeploy.server.engine.jobs import Outcome
from clouddeploy.server.exchange import Exchange
from clouddeploy.server.message import Head, Request, Response, refusal
from clouddeploy.server.models.shadowing import Form, Show
from clouddeploy.server.protocols import tensors, v2
from clouddeploy.server.protocols.asking import check_whole
from clouddeploy.server.protocols.grpc_messages import METHODS, SERVICE, messages
from clouddeploy.server.protocols.grpc_tls import credentials

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.connection import Connection
    from clouddeploy.server.models import Loaded

CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field that holds each datatype; those without one go raw."""
CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    406: "UNIMPLEMENTED",
    413: "RESOURCE_EXHAUSTED",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
"""gRPC's code for each HTTP status; INTERNAL for others ("gRPC status codes")."""
log = logging.getLogger(__name__)
CALL = re.compile("")
Outputs = list[tuple[str, NDArray[Any], bool]]
Act = Callable[[Any, Exchange], Awaitable[Any]]


def install(app: App) -> None:
    """Open the port when the server starts.

    Raises:
        TargetError: a library is missing.
    """
    try:
        import google.protobuf  # noqa: F401
        import grpc  # noqa: F401
    except ModuleNotFoundError as error:
        raise TargetError(
            "gRPC needs grpcio and protobuf", why=str(error), fix="pip install grpcio protobuf"
        ) from error
    service = _Service(app)
    app.on_start.append(service.start)
    app.on_leave.append(service.stop)


class _Reply:
    """Stands where an exchange has its connection: replies go to a call that waits."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.replied: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Let the metrics and the log see the response, and the call end with it."""
        self._app.answered(exchange, response)
        if not self.replied.done():
            self.replied.set_result(response)


class _Service:
    """The service in one worker."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._server: Any = None

    async def start(self) -> None:
        """Listen; every worker does on the same port.

        Raises:
            SpecError: the port can't be listened on, or the certificate can't be used.
        """
        import grpc
        from grpc import aio

        settings, known = self._app.settings, messages()
        limit = ("grpc.max_receive_message_length", settings.body_limit)
        self._server = aio.server(options=[limit, ("grpc.so_reuseport", 1)])
        acts: dict[str, Act] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._call(name, acts[name]),
                request_deserializer=known[f"{name}Request"].FromString,
                response_serializer=known[f"{name}Response"].SerializeToString,
            )
            for name in METHODS
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            if tls.on(settings):
                self._server.add_secure_port(f"{host}:{settings.grpc_port}", credentials(settings))
            else:
                self._server.add_insecure_port(f"{host}:{settings.grpc_port}")
        except RuntimeError as error:
            raise SpecError(
                f"gRPC can't listen on {settings.host}:{settings.grpc_port}",
                why=str(error),
                fix="stop what listens there, or choose another grpc_port",
            ) from error
        await self._server.start()

    async def stop(self) -> None:
        """Answer what was accepted, then end."""
        if self._server is not None:
            await self._server.stop(self._app.settings.drain_s)

    def _call(self, name: str, act: Act) -> Callable[[Any, Any], Awaitable[Any]]:
        async def run(request: Any, context: Any) -> Any:
            reply = _Reply(self._app)
            exchange = Exchange(_as_http(name, request, context), cast("Connection", reply))
            try:
                self._guard(exchange)
                message = await act(request, exchange)
                exchange.reply(Response(200))
                return message
            except WireError as error:
                exchange.reply(refusal(error))
            except asyncio.CancelledError:
                exchange.leave()
                raise
            except Exception:  # a bug of ours costs one call
                log.exception("request %s failed", exchange.id)
                exchange.reply(refusal(WireError("prediction_failed", "the server failed", "see its log")))
            return await _abort(context, await reply.replied)

        return run

    def _guard(self, exchange: Exchange) -> None:
        """Let the guards see it.

        Raises:
            WireError: one has something against it.
        """
        for guard in self._app.before:
            if guard(exchange) is not None:
                raise WireError("forbidden", "the call isn't let through", "ask over HTTP to see why")

    async def _live(self, request: Any, exchange: Exchange) -> Any:
        return messages()["ServerLiveResponse"](live=True)

    async def _ready(self, request: Any, exchange: Exchange) -> Any:
        return messages()["ServerReadyResponse"](ready=self._app.ready)

    def _loaded(self, name: str, version: str, exchange: Exchange) -> Loaded:
        exchange.attributes["model"] = name
        return self._app.models.get(name, version or None, exchange=exchange)

    async def _model_ready(self, request: Any, exchange: Exchange) -> Any:
        self._loaded(request.name, request.version, exchange)
        return messages()["ModelReadyResponse"](ready=True)

    async def _server_metadata(self, request: Any, exchange: Exchange) -> Any:
        return messages()["ServerMetadataResponse"](name="clouddeploy", version=v2.version())

    async def _model_metadata(self, request: Any, exchange: Exchange) -> Any:
        loaded = self._loaded(request.name, request.version, exchange)
        return messages()["ModelMetadataResponse"](**v2.described(loaded, self._app.models))

    async def _infer(self, request: Any, exchange: Exchange) -> Any:
        loaded = self._loaded(request.model_name, request.model_version, exchange)
        check_whole(loaded)
        asked = tensors.to_request(_arrays(request), loaded.service.signature)
        wanted = tuple(tensors.Wanted(one.name, binary=False) for one in request.outputs)
        answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if answered.done():
                return
            if isinstance(outcome, Result):
                answered.set_result(outcome)
            else:
                assert isinstance(outcome, WireError)
                answered.set_exception(outcome)

        exchange.batch = asked.size
        loaded.engine.ask(asked, exchange, done)
        outputs = tensors.outputs_of(await answered, loaded.service.signature, wanted, binary=False)
        if "shadow" in exchange.attributes:
            exchange.attributes["form"] = _form(request, outputs)
        named = {"model_name": loaded.name, "model_version": loaded.version, "id": request.id}
        return _answer(
            named, [(name, array) for name, array, _ in outputs], raw=bool(request.raw_input_contents)
        )


def _form(request: Any, outputs: Outputs) -> Form:
    """How a call is copied, which stands in no body."""

    def read(_: Request, to: Loaded) -> tuple[Arrays, Show]:
        signature = to.service.signature
        wanted = tuple(tensors.Wanted(one.name, binary=False) for one in request.outputs)
        asked = tensors.to_request(_arrays(request), signature)
        return asked, lambda result: _shown(tensors.outputs_of(result, signature, wanted, binary=False))

    return Form(CALL, read, lambda _: _shown(outputs))


def _shown(outputs: Outputs) -> Any:
    return [[name, array.tolist()] for name, array, _ in outputs]


def _as_http(name: str, request: Any, context: Any) -> Request:
    """The call as the request of the V2 protocol's own path, so that guards treat both alike."""
    headers = {key: str(value) for key, value in context.invocation_metadata() or ()}
    remaining = context.time_remaining()
    if remaining is not None and 0 < remaining < 86_400:
        headers["x-timeout-ms"] = str(max(1, int(remaining * 1000)))
    path = {"ServerMetadata": "/v2", "ServerLive": "/v2/health/live", "ServerReady": "/v2/health/ready"}.get(
        name
    )
    if path is None:
        model = request.model_name if name == "ModelInfer" else request.name
        end = {"ModelInfer": "/infer", "ModelReady": "/ready"}.get(name, "")
        path = f"/v2/models/{model}{end}"
    method = "POST" if name == "ModelInfer" else "GET"
    head = Head(method, path, "", headers, request.ByteSize(), keep=True, version="1.1", expects=False)
    return Request(head, b"", address(context.peer()))


def address(peer: str) -> str:
    """The client's address in ``ipv4:10.0.0.1:5000`` or ``ipv6:%5B::1%5D:5000`` (gRPC, "Name Resolution")."""
    found = unquote(peer).removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")[0]
    return found.removeprefix("[").removesuffix("]")


async def _abort(context: Any, response: Response) -> Any:
    import grpc

    error = json.loads(response.body)["error"]
    code = "DEADLINE_EXCEEDED" if error["code"] == "out_of_time" else CODES.get(response.status, "INTERNAL")
    waits = tuple(pair for pair in response.headers if pair[0] == "retry-after")
    trailing = (("x-clouddeploy-error", error["code"]), *waits)
    await context.abort(grpc.StatusCode[code], f"{error['message']}; {error['fix']}", trailing)


def _arrays(request: Any) -> dict[str, NDArray[Any]]:
    """The inputs of a ``ModelInferRequest``.

    Raises:
        WireError: they aren't what the protocol allows.
    """
    raw = request.raw_input_contents
    if not request.inputs:
        raise tensors.bad("there are no inputs")
    if raw and len(raw) != len(request.inputs):
        raise tensors.bad(f"there are {len(raw)} raw contents for {len(request.inputs)} inputs")
    found: dict[str, NDArray[Any]] = {}
    for index, one in enumerate(request.inputs):
        field = f"inputs[{index}]"
        if one.name in found:
            raise tensors.bad(f"{field} is named {one.name[:80]!r}, as another one is")
        shape = tensors.shape_of(list(one.shape), field)
        if raw:
            if one.HasField("contents"):
                raise tensors.bad(f"{field} has contents beside the raw ones")
            found[one.name] = tensors.from_bytes(memoryview(raw[index]), one.datatype, shape, field)
        else:
            found[one.name] = _typed(one, shape, field)
    return found


def _typed(one: Any, shape: tuple[int, ...], field: str) -> NDArray[Any]:
    name = CONTENTS.get(one.datatype)
    if name is None:
        raise WireError(
            "bad_dtype", f"{field}.datatype is {one.datatype[:40]!r}", "send it raw, or another one"
        )
    values = list(getattr(one.contents, name))
    if len(values) != math.prod(shape):
        message = f"{field} has {len(values)} values in {name}; its shape is {list(shape)}"
        raise WireError("bad_shape", message, "make the two agree")
    if one.datatype == "BYTES":
        values = [tensors.text_of(value, f"{field}, text {i}") for i, value in enumerate(values)]
    dtype = tensors.DATATYPES[one.datatype]
    if dtype.startswith("float"):
        return np.array(values, dtype).reshape(shape)
    return from_json(values, field, Tensor(field, dtype, (None,))).reshape(shape)


def _answer(named: dict[str, Any], outputs: list[tuple[str, NDArray[Any]]], *, raw: bool) -> Any:
    response = messages()["ModelInferResponse"](**named)
    rows = [tensors.described(name, array) for name, array in outputs]
    raw = raw or any(row["datatype"] not in CONTENTS for row in rows)
    for row, (_, array) in zip(rows, outputs, strict=True):
        output = response.outputs.add(**row)
        if raw:
            response.raw_output_contents.append(bytes(tensors.to_bytes(array)))
            continue
        flat: list[Any] = array.reshape(-1).tolist()
        values = [text.encode() for text in flat] if row["datatype"] == "BYTES" else flat
        getattr(output.contents, CONTENTS[row["datatype"]]).extend(values)
    return response
