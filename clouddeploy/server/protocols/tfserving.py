"""TensorFlow Serving's REST API ("TensorFlow Serving, RESTful API"), for clients that were written for it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime import strict_json
from clouddeploy.runtime.arrays import from_json
from clouddeploy.runtime.decode import Arrays, Request, from_object, media_type, request_of
from clouddeploy.runtime.encode import Result, as_object, plain
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.signature import Signature, Tensor
from clouddeploy.server.message import JSON, Headers, Response
from clouddeploy.server.protocols.asking import ask, text_error

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded, Models

DEFAULT = "serving_default"
METHODS = {"classify": "tensorflow/serving/classify", "regress": "tensorflow/serving/regress"}
DTYPES = {
    **{f"{kind}{bits}": f"DT_{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "float16": "DT_HALF",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "bool": "DT_BOOL",
    "str": "DT_STRING",
}
"""TensorFlow's name of each dtype ("tf.dtypes")."""
STATES = {"available": "AVAILABLE", "loading": "LOADING", "failed": "END"}
"""``ModelVersionStatus.State`` for each state of ours."""
ROWS, WIRE_ROWS = b'{"instances":', b'{"inputs":'
FIX = 'send {"instances": [...]} for rows, or {"inputs": ...} for columns'
Format = Callable[[Result], Any]
Read = Callable[[dict[str, Any], Signature], tuple[Request, Format]]


def install(app: App) -> None:
    """Add ``/v1/models/…``."""
    models = app.models
    app.frames["/v1/models"] = text_error

    def status(exchange: Exchange) -> None:
        _tell(exchange, {"model_version_status": statuses(models, exchange)})

    def metadata(exchange: Exchange) -> None:
        _tell(exchange, described(find(models, exchange)))

    for verb, read in (("predict", read_predict), ("classify", read_classify), ("regress", read_regress)):

        def run(exchange: Exchange, verb: str = verb, read: Read = read) -> None:
            answer(find(models, exchange), exchange, verb, read)

        for path in _paths():
            app.routes.add("POST", f"{path}:{verb}", run)
    for path in _paths():
        app.routes.add("GET", path, status)
        app.routes.add("GET", f"{path}/metadata", metadata)


def _paths() -> list[str]:
    model = "/v1/models/{model}"
    return [model, model + "/versions/{version}", model + "/labels/{label}"]


def find(models: Models, exchange: Exchange) -> Loaded:
    """The model that the path names."""
    named = exchange.attributes
    return models.get(named["model"], named.get("version"), named.get("label"), exchange)


def statuses(models: Models, exchange: Exchange) -> list[dict[str, Any]]:
    """The state of the version that the path names; of all, newest first, where it names none."""
    named = exchange.attributes
    rows = models.status().models.get(named["model"], {}).get("versions", {})
    known = {version: row for version, row in rows.items() if row["state"] != "unloaded"}
    if "version" in named:
        known = {version: row for version, row in known.items() if version == named["version"]}
    if known and "label" not in named:
        newest = sorted(known, key=lambda version: (len(version), version), reverse=True)
        return [_status(version, known[version]) for version in newest]
    return [_status(find(models, exchange).version, {"state": "available"})]


def _tell(exchange: Exchange, value: Any) -> None:
    exchange.reply(Response(200, json.dumps(value, separators=(",", ":")).encode()))


def _status(version: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """One ``ModelVersionStatus``: a version that can't be loaded has ended, with why."""
    reason = str(known.get("reason") or "") if known["state"] == "failed" else ""
    return {
        "version": version,
        "state": STATES.get(known["state"], "UNKNOWN"),
        "status": {"error_code": "UNKNOWN" if reason else "OK", "error_message": reason},
    }


def described(loaded: Loaded) -> dict[str, Any]:
    """The model's metadata as the JSON of ``GetModelMetadataResponse``: int64 as text."""

    def tensors(rows: tuple[Tensor, ...]) -> dict[str, Any]:
        return {
            row.name: {
                "dtype": DTYPES[row.dtype],
                "tensor_shape": {
                    "dim": [{"size": str(-1 if n is None else n), "name": ""} for n in row.shape],
                    "unknown_rank": False,
                },
                "name": row.name,
            }
            for row in rows
        }

    signature = loaded.service.signature
    definition = {
        "inputs": tensors(signature.inputs),
        "outputs": tensors(signature.outputs),
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": loaded.name, "signature_name": "", "version": loaded.version},
        "metadata": {"signature_def": {"signature_def": {DEFAULT: definition}}},
    }


def answer(loaded: Loaded, exchange: Exchange, verb: str, read: Read) -> None:
    """Decode, predict in a batch, encode, reply.

    Raises:
        WireError: the request isn't what the API or the signature allows, or too many wait.
    """
    request = exchange.request
    # curl sends its form type where none is given; TensorFlow Serving doesn't look at it.
    kind = request.headers.get("content-type", JSON)
    if not kind.startswith("application/x-www-form-urlencoded") and media_type(kind) != JSON:
        raise WireError("unsupported_media_type", f"the content type is {kind[:80]!r}", f"send {JSON}")
    if verb == "predict" and _answer_fast(loaded, exchange):
        return
    if not request.body.strip():
        raise WireError("empty_body", "the body is empty", FIX)
    value = strict_json.loads(request.body)
    if not isinstance(value, dict):
        raise WireError("bad_input", "the body is no object", FIX)
    name = value.pop("signature_name", None)
    if name not in (None, "", DEFAULT, METHODS.get(verb)):
        raise WireError(
            "bad_input", f'Serving signature key "{str(name)[:80]}" not found.', f"the signature is {DEFAULT}"
        )
    asked, write = read(value, loaded.service.signature)

    def respond(result: Result) -> Response:
        return Response(200, strict_json.dumps(write(result)), JSON, loaded.headers)

    ask(loaded, asked, exchange, respond)


def _answer_fast(loaded: Loaded, exchange: Exchange) -> bool:
    """Answer rows of the commonest kind, which differ from the wire contract's batch in one word alone."""
    body, fast = exchange.request.body, loaded.engine.fast
    # Two quotation marks are those of the one key.
    if fast is None or not body.startswith(ROWS) or body.count(b'"') != 2:
        return False
    same = WIRE_ROWS + body[len(ROWS) :]
    rows = fast.read(same)
    if rows is None:
        return False

    def write(result: Result) -> Response:
        return Response(200, *loaded.engine.codec.write(_shown(result), JSON), loaded.headers)

    def refuse(error: WireError, headers: Headers) -> Response:
        return text_error(_named(error, "instances"), headers)

    ask(loaded, rows, exchange, write, refuse, same)
    return True


def _named(error: WireError, field: str) -> WireError:
    """`error` with the field's name in this API."""
    if "inputs[" not in error.message:
        return error
    return WireError(error.code, error.message.replace("inputs[", f"{field}[", 1), error.fix)


def read_predict(value: dict[str, Any], signature: Signature) -> tuple[Request, Format]:
    """The request in the body of ``:predict``, and what becomes of its predictions.

    Raises:
        WireError: it isn't what the API or the signature allows.
    """
    if value.keys() == {"instances"}:
        return _rows(value["instances"], signature), lambda result: as_object(_shown(result))
    if value.keys() == {"inputs"}:
        return _columns(value["inputs"], signature), lambda result: {"outputs": _as_columns(_shown(result))}
    keys = ", ".join(repr(key[:40]) for key in list(value)[:5]) or "none"
    raise WireError("bad_input", f"the body has the keys {keys}; expected instances or inputs alone", FIX)


def _rows(instances: Any, signature: Signature, field: str = "instances") -> Request:
    """Rows are the wire contract's batch, but that bytes may be wrapped and one input may have its name."""
    if not isinstance(instances, list) or not instances:
        raise WireError("bad_input", f"{field} is no list of at least one example", FIX)
    rows = [_unwrapped(row, f"{field}[{i}]") for i, row in enumerate(instances)]
    if len(signature.inputs) == 1:
        only = signature.inputs[0].name
        rows = [row[only] if isinstance(row, dict) and row.keys() == {only} else row for row in rows]
    try:
        return from_object({"inputs": rows}, signature)
    except WireError as error:
        raise _named(error, field) from error


def _columns(inputs: Any, signature: Signature) -> Request:
    known = {tensor.name: tensor for tensor in signature.inputs}
    inputs = _unwrapped(inputs, "inputs")
    if isinstance(inputs, dict) and len(known) == 1 and inputs.keys() == known.keys():
        inputs = inputs[next(iter(known))]
    if not isinstance(inputs, dict):
        if len(known) > 1:
            raise WireError("bad_input", "inputs is no object", f"give {', '.join(known)}")
        return request_of(_column(inputs, "inputs", next(iter(known.values()), None)), signature)
    if known and inputs.keys() != known.keys():
        given = ", ".join(name[:40] for name in list(inputs)[:8]) or "none"
        raise WireError("bad_input", f"the inputs are named {given}", f"give {', '.join(known)}")
    if not inputs:
        raise WireError("bad_input", "inputs is empty", FIX)
    return request_of({n: _column(v, f"inputs.{n}", known.get(n)) for n, v in inputs.items()}, signature)


def _column(values: Any, field: str, tensor: Tensor | None) -> NDArray[Any]:
    if not isinstance(values, list) or not values:
        raise WireError("bad_shape", f"{field} holds no example", "send a list with one value for each")
    return from_json(values, field, tensor)


def _unwrapped(value: Any, path: str) -> Any:
    """`value` with each ``{"b64": …}`` in it as the text that it holds, which is what models get."""
    if isinstance(value, list):
        if not value or isinstance(value[0], list | dict):
            return [_unwrapped(one, f"{path}[{i}]") for i, one in enumerate(value)]
        return value
    if not isinstance(value, dict):
        return value
    if value.keys() != {"b64"}:
        return {name: _unwrapped(one, f"{path}.{name[:40]}") for name, one in value.items()}
    try:
        return base64.b64decode(value["b64"], validate=True).decode()
    except (TypeError, ValueError, binascii.Error) as error:
        raise WireError(
            "bad_input",
            f"{path}.b64 is no base64 of UTF-8 text",
            "models take text; send other bytes as numbers",
        ) from error


def _shown(result: Result) -> Result:
    """Outputs named ``…_bytes`` are sent as base64, as the API has it."""
    if not isinstance(result.outputs, dict):
        return result
    return Result({n: _wrapped(a) if n.endswith("_bytes") else a for n, a in result.outputs.items()})


def _wrapped(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind != "O":
        return array
    found = np.empty(array.shape, dtype=object)
    for index, text in np.ndenumerate(array):
        found[index] = {"b64": base64.b64encode(text.encode()).decode()}
    return found


def _as_columns(result: Result) -> Any:
    as_object(result)  # refuses NaN, naming where
    if isinstance(result.outputs, dict):
        return {name: plain(array) for name, array in result.outputs.items()}
    return plain(result.outputs)


def _examples(value: dict[str, Any], signature: Signature) -> Request:
    """``examples``, each an object of features; those in ``context`` are shared by all."""
    context, examples = value.get("context", {}), value.get("examples")
    if not value.keys() <= {"context", "examples"} or not isinstance(context, dict):
        raise WireError("bad_input", "the body has other keys than examples and context", "send examples")
    if not isinstance(examples, list) or not all(isinstance(one, dict) for one in examples):
        raise WireError("bad_input", "examples is no list of objects", 'send {"examples": [{"name": value}]}')
    twice = next((name for one in examples for name in one if name in context), None)
    if twice is not None:
        raise WireError("bad_input", f"{twice[:40]!r} stands in context and in an example", "drop one")
    return _rows([{**context, **one} for one in examples], signature, "examples")


def _one_output(outputs: Arrays, verb: str) -> NDArray[Any]:
    if isinstance(outputs, dict):
        if len(outputs) > 1:
            raise WireError("bad_input", f"the model has several outputs; {verb} needs one", "use :predict")
        outputs = next(iter(outputs.values()))
    if outputs.dtype.kind == "O":
        raise WireError("bad_input", f"the model answers text; {verb} needs numbers", "use :predict")
    return outputs


def read_classify(value: dict[str, Any], signature: Signature) -> tuple[Request, Format]:
    """As `read_predict`, for ``:classify``: each example's scores, labelled with the class's number.

    Raises:
        WireError: it isn't what the API or the signature allows.
    """

    def write(result: Result) -> Any:
        scores = _one_output(result.outputs, "classify")
        if scores.ndim != 2:
            raise WireError("bad_input", "the model gives no list of scores for an example", "use :predict")
        rows = as_object(Result(scores))["predictions"]
        return {"result": [[[str(i), score] for i, score in enumerate(row)] for row in rows]}

    return _examples(value, signature), write


def read_regress(value: dict[str, Any], signature: Signature) -> tuple[Request, Format]:
    """As `read_predict`, for ``:regress``: one number for each example.

    Raises:
        WireError: it isn't what the API or the signature allows.
    """

    def write(result: Result) -> Any:
        numbers = _one_output(result.outputs, "regress")
        if numbers.size != len(numbers):
            raise WireError("bad_input", "the model gives several numbers for an example", "use :predict")
        return {"result": as_object(Result(numbers.reshape(-1)))["predictions"]}

    return _examples(value, signature), write
