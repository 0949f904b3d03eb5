"""The messages of ``inference.GRPCInferenceService``, built from the tables below when they are first needed.

"Open Inference Protocol (V2)", gRPC: names and numbers of messages and fields. They live in a pool of their
own, so that another library's messages of the same names can't meet them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

SERVICE = "inference.GRPCInferenceService"
PARAMETERS = "parameters"
Field = tuple[int, str, str]
"""Number, name, and type: a scalar's or a message's name, with a star when it is repeated."""
TENSOR: tuple[Field, ...] = ((1, "name", "string"), (2, "datatype", "string"), (3, "shape", "int64*"))
MODEL: tuple[Field, ...] = ((1, "name", "string"), (2, "version", "string"))
ASKED: tuple[Field, ...] = ((1, "model_name", "string"), (2, "model_version", "string"), (3, "id", "string"))
MESSAGES: dict[str, tuple[Field, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ((1, "live", "bool"),),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ((1, "ready", "bool"),),
    "ModelReadyRequest": MODEL,
    "ModelReadyResponse": ((1, "ready", "bool"),),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": (*MODEL, (3, "extensions", "string*")),
    "ModelMetadataRequest": MODEL,
    "ModelMetadataResponse.TensorMetadata": TENSOR,
    "ModelMetadataResponse": (
        (1, "name", "string"),
        (2, "versions", "string*"),
        (3, "platform", "string"),
        (4, "inputs", "ModelMetadataResponse.TensorMetadata*"),
        (5, "outputs", "ModelMetadataResponse.TensorMetadata*"),
    ),
    "InferParameter": (
        (1, "bool_param", "bool"),
        (2, "int64_param", "int64"),
        (3, "string_param", "string"),
        (4, "double_param", "double"),
        (5, "uint64_param", "uint64"),
    ),
    "InferTensorContents": (
        (1, "bool_contents", "bool*"),
        (2, "int_contents", "int32*"),
        (3, "int64_contents", "int64*"),
        (4, "uint_contents", "uint32*"),
        (5, "uint64_contents", "uint64*"),
        (6, "fp32_contents", "float*"),
        (7, "fp64_contents", "double*"),
        (8, "bytes_contents", "bytes*"),
    ),
    "ModelInferRequest.InferInputTensor": (
        *TENSOR,
        (4, PARAMETERS, "map"),
        (5, "contents", "InferTensorContents"),
    ),
    "ModelInferRequest.InferRequestedOutputTensor": ((1, "name", "string"), (2, PARAMETERS, "map")),
    "ModelInferRequest": (
        *ASKED,
        (4, PARAMETERS, "map"),
        (5, "inputs", "ModelInferRequest.InferInputTensor*"),
        (6, "outputs", "ModelInferRequest.InferRequestedOutputTensor*"),
        (7, "raw_input_contents", "bytes*"),
    ),
    "ModelInferResponse.InferOutputTensor": (
        *TENSOR,
        (4, PARAMETERS, "map"),
        (5, "contents", "InferTensorContents"),
    ),
    "ModelInferResponse": (
        *ASKED,
        (4, PARAMETERS, "map"),
        (5, "outputs", "ModelInferResponse.InferOutputTensor*"),
        (6, "raw_output_contents", "bytes*"),
    ),
}
METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
"""Each takes ``<name>Request`` and answers ``<name>Response``."""


@cache
def messages() -> dict[str, Any]:
    """The message classes by name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="clouddeploy/inference.proto", package="inference", syntax="proto3"
    )
    made: dict[str, Any] = {}
    for name in sorted(MESSAGES, key=lambda name: name.count(".")):
        outer, _, inner = name.rpartition(".")
        message = made[outer].nested_type.add() if outer else file.message_type.add()
        message.name = inner or name
        made[name] = message
        for number, field, kind in MESSAGES[name]:
            _add(message, name, number, field, kind)
    parameter = made["InferParameter"]
    parameter.oneof_decl.add(name="parameter_choice")
    for field in parameter.field:
        field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}"))
        for name in MESSAGES
    }


def _add(message: Any, owner: str, number: int, name: str, kind: str) -> None:
    if kind == "map":
        entry = message.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        _add(entry, owner, 1, "key", "string")
        _add(entry, owner, 2, "value", "InferParameter")
        kind = f"{owner}.ParametersEntry*"
    field = message.field.add(name=name, number=number)
    plain = kind.rstrip("*")
    field.label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
    if plain[0].isupper():
        field.type = field.TYPE_MESSAGE
        field.type_name = f".inference.{plain}"
    else:
        field.type = getattr(field, f"TYPE_{plain.upper()}")
