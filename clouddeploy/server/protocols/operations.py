"""The operations of the OpenAPI document, one protocol after another."""

from __future__ import annotations

import math
from typing import Any

from clouddeploy.runtime.decode import CSV, JSON, NPY
from clouddeploy.runtime.signature import Signature, Tensor
from clouddeploy.server.models import Loaded
from clouddeploy.server.protocols import schemas
from clouddeploy.server.protocols.schemas import Schema, batch_schema, closed
from clouddeploy.server.protocols.streaming import EVENTS, LINES
from clouddeploy.server.protocols.tensors import NAMES, ONLY_OUTPUT

Paths = dict[str, Any]
BINARY: Schema = {"type": "string", "contentMediaType": NPY}
TEXT: Schema = {"type": "string"}
OCTETS = "application/octet-stream"
OPEN: Schema = {"type": "object"}


def of_default(loaded: Loaded, *, jobs: bool) -> Paths:
    """The paths that name no model."""
    signature = loaded.service.signature
    row = schemas.row_schema(signature.inputs, taken=True)
    one, many = closed({"input": row}), closed({"inputs": batch_schema(row)})
    both = {"oneOf": [one, many]}
    example = schemas.example_row(signature) if schemas.has_example(signature) else None
    single = None if example is None else {"input": example}
    batch = None if example is None else {"inputs": [example, example]}
    found = {
        "/predict": _predict("Predict one example or a batch", "predict", both, single, loaded),
        "/batch_predict": _predict("Predict a batch", "predict_batch", many, batch, loaded),
        "/invocations": _predict("SageMaker's container contract", "invoke", both, batch, loaded),
    }
    if jobs:
        found |= _jobs(both, single)
    return found


def of_model(loaded: Loaded) -> Paths:
    """The paths that name `loaded`'s model."""
    name, signature = loaded.name, loaded.service.signature
    row = schemas.row_schema(signature.inputs, taken=True)
    both = {"oneOf": [closed({"input": row}), closed({"inputs": batch_schema(row)})]}
    shown = schemas.has_example(signature)
    example = {"inputs": [schemas.example_row(signature)]} if shown else None
    rows = {"instances": example["inputs"]} if example else None
    found = {
        f"/models/{name}": _get("What is served under this name", f"model_{name}", OPEN),
        f"/models/{name}/predict": _predict(f"Predict with {name}", f"predict_{name}", both, example, loaded),
        f"/v2/models/{name}": _get("Metadata", f"v2_model_{name}", OPEN, "V2"),
        f"/v2/models/{name}/ready": _get("Whether it is ready", f"v2_ready_{name}", OPEN, "V2"),
        f"/v1/models/{name}": _get("Status", f"v1_status_{name}", OPEN, "TensorFlow Serving"),
        f"/v1/models/{name}/metadata": _get("Metadata", f"v1_metadata_{name}", OPEN, "TensorFlow Serving"),
    }
    if loaded.service.streams:  # which these two have not
        return found
    infer = _post(
        "Open Inference Protocol V2", f"v2_infer_{name}", _v2_schema(signature),
        _v2_example(signature) if shown else None, _v2_answer(), "V2",
    )  # fmt: skip
    infer["post"]["responses"]["200"]["content"][OCTETS] = {"schema": {"type": "string"}}
    return found | {
        f"/v2/models/{name}/infer": infer,
        f"/v1/models/{name}:predict": _post(
            "TensorFlow Serving", f"v1_predict_{name}", _v1_schema(row, signature), rows,
            {"type": "object", "minProperties": 1, "maxProperties": 1}, "TensorFlow Serving",
        ),
    }  # fmt: skip


def of_server() -> Paths:
    """The paths that tell about the server."""
    return {
        "/models": _get("What is loaded", "models", OPEN, "Server"),
        "/health": _get("Whether the server lives", "health", OPEN, "Server"),
        "/live": _get("Whether the server lives", "live", OPEN, "Server"),
        "/ready": _get("Whether every model is ready", "ready", OPEN, "Server"),
        "/ping": _get("Whether every model is ready, as SageMaker asks", "ping", OPEN, "Server"),
        "/v2": _get("The server's metadata", "v2_server", OPEN, "V2"),
        "/v2/health/live": _get("Whether the server lives", "v2_live", OPEN, "V2"),
        "/v2/health/ready": _get("Whether every model is ready", "v2_health_ready", OPEN, "V2"),
    }


def _predict(summary: str, name: str, body: Schema, example: Any, loaded: Loaded) -> Paths:
    signature = loaded.service.signature
    row = schemas.row_schema(signature.outputs)
    answer = {
        "oneOf": [closed({"prediction": row}), closed({"predictions": {"type": "array", "items": row}})]
    }
    found = _post(summary, name, body, example, answer, "Wire contract")
    if len(signature.inputs) < 2:
        found["post"]["requestBody"]["content"] |= {
            NPY: {"schema": {**BINARY, "minLength": 1}},
            CSV: {"schema": {**TEXT, "minLength": 1}},
        }
    told = found["post"]["responses"]["200"]
    if loaded.service.streams:
        told["content"] = {LINES: {"schema": TEXT}, EVENTS: {"schema": TEXT}}
    else:
        told["content"] |= {NPY: {"schema": BINARY}, CSV: {"schema": TEXT}, EVENTS: {"schema": TEXT}}
    return found


def _jobs(body: Schema, example: Any) -> Paths:
    started = _post("Predict later", "start_job", body, example, OPEN, "Jobs")
    started["post"]["responses"]["202"] = started["post"]["responses"].pop("200")
    at = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    asked = _get("State, and the result when done", "job", OPEN, "Jobs")
    ended = {"delete": {**asked["get"], "summary": "Cancel or forget", "operationId": "end_job"}}
    return {"/jobs": started, "/jobs/{id}": {"parameters": [at], **asked, **ended}}


def _get(summary: str, name: str, answer: Schema, tag: str = "Wire contract") -> Paths:
    return {
        "get": {"summary": summary, "operationId": name, "tags": [tag], "responses": _answers(answer, tag)}
    }


def _post(summary: str, name: str, body: Schema, example: Any, answer: Schema, tag: str) -> Paths:
    content: dict[str, Any] = {"schema": body}
    if example is not None:
        content["examples"] = {"first": {"summary": "runs as it is", "value": example}}
    operation = {
        "summary": summary,
        "operationId": name,
        "tags": [tag],
        "requestBody": {"required": True, "content": {JSON: content}},
        "responses": _answers(answer, tag),
    }
    return {"post": operation}


def _answers(answer: Schema, tag: str) -> dict[str, Any]:
    error = "TextError" if tag in ("V2", "TensorFlow Serving") else "Error"
    content = {JSON: {"schema": {"$ref": f"#/components/schemas/{error}"}}}
    return {
        "200": {"description": "as asked", "content": {JSON: {"schema": answer}}},
        "4XX": {"description": "the request can't be served; the message tells why", "content": content},
        "5XX": {"description": "the server or the model failed, or is too busy", "content": content},
    }


def _v1_schema(row: Schema, signature: Signature) -> Schema:
    optional = ("signature_name",)
    name = schemas.nullable({"type": "string", "enum": ["serving_default", "", None]})
    rows = closed({"signature_name": name, "instances": batch_schema(row)}, optional)
    columns = closed({"signature_name": name, "inputs": schemas.columns_schema(signature.inputs)}, optional)
    return {"oneOf": [rows, columns]}


def _v2_tensor(tensor: Tensor) -> Schema:
    free: Schema = {"type": "integer", "minimum": 0}
    sizes: list[Schema] = [free if size is None else {"const": size} for size in tensor.shape]
    properties: dict[str, Schema] = {
        "name": {"const": tensor.name},
        "datatype": {"const": NAMES[tensor.dtype]},
        "shape": {
            "type": "array",
            "prefixItems": [{"type": "integer", "minimum": 1}, *sizes[1:]],
            "minItems": len(tensor.shape),
            "maxItems": len(tensor.shape),
        },
        "parameters": schemas.nullable(OPEN),
        "data": {
            "type": "array",
            "items": {"oneOf": [schemas.TYPES[tensor.dtype], {"type": "array"}]},
            "description": "flat in row-major order, or nested",
        },
    }
    required = [name for name in properties if name != "parameters"]
    return {"type": "object", "properties": properties, "required": required}


def _v2_unknown() -> Schema:
    """A tensor of a model whose signature isn't known."""
    sizes: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
    kinds: Schema = {"type": "string", "enum": [*NAMES.values(), "BF16"]}
    properties = {"name": TEXT, "datatype": kinds, "shape": sizes, "data": {"type": "array"}}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _v2_schema(signature: Signature) -> Schema:
    tensors = [_v2_tensor(tensor) for tensor in signature.inputs]
    inputs: Schema = {"type": "array", "minItems": max(1, len(tensors))}
    inputs["items"] = {"oneOf": tensors} if tensors else _v2_unknown()
    if tensors:
        inputs["maxItems"] = len(tensors)
    name: Schema = {**TEXT, "enum": [t.name for t in signature.outputs]} if signature.outputs else TEXT
    binary: Schema = {"type": "object", "properties": {"binary_data": {"type": "boolean"}}}
    wanted: Schema = {"name": name, "parameters": schemas.nullable(binary)}
    properties = {
        "id": schemas.nullable(TEXT),
        "parameters": schemas.nullable(
            {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}}
        ),
        "inputs": inputs,
        "outputs": schemas.nullable(
            {"type": "array", "items": {"type": "object", "properties": wanted, "required": ["name"]}}
        ),
    }
    return {"type": "object", "properties": properties, "required": ["inputs"]}


def _v2_example(signature: Signature) -> dict[str, Any]:
    inputs = []
    for tensor in signature.inputs:
        sizes = schemas.sizes_of(tensor)
        flat = schemas.example_value(Tensor(tensor.name, tensor.dtype, (None, math.prod(sizes))))
        inputs.append(
            {"name": tensor.name, "datatype": NAMES[tensor.dtype], "shape": [1, *sizes], "data": flat}
        )
    names = [tensor.name for tensor in signature.outputs] or [ONLY_OUTPUT]
    wanted = {"outputs": [{"name": name} for name in names]} if signature.outputs else {}
    return {"id": "first", "inputs": inputs, **wanted}


def _v2_answer() -> Schema:
    tensor: Schema = {"type": "object", "required": ["name", "datatype", "shape"]}
    properties: dict[str, Schema] = {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": tensor},
    }
    return {"type": "object", "properties": properties, "required": ["model_name", "outputs"]}
