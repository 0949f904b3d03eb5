"""Inputs that fuzzing starts from, so that it doesn't have to find out what a format looks like."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

from clouddeploy.runtime import npy

WORDS = (
    *b'"inputs" "input" "instances" "examples" "context" "b64" "signature_name"'.split(),
    *b'"x" "a" "b" [[ ]] {} [] "name" "shape" "datatype" "data" "parameters" "outputs" "id"'.split(),
    *b'"binary_data_size" "FP32" "BF16" "BYTES" "exp" "nbf" "iat" "sub" "aud" "kid" "kty" "expires"'.split(),
    *(b"'descr': '<f4'", b"'|O'", b"'<U3'", b"'>i8'", b"'|b1'", b"'shape': (2, 2)", b"'shape': ()", b"True"),
    *(b"\r\n\r\n", b"\r\n", b"content-length: ", b"transfer-encoding: chunked", b"host: x", b"HTTP/1.0"),
    *(b"\r\nx-request-id: a", b"\r\ncookie:b", b"\r\nAuthorization: c", b"content-encoding: gzip"),
    *(b"connection: close", b"expect: 100-continue", b"GET ", b"POST ", b"0\r\n\r\n", b"\\u0000"),
    *b"-0 0 1 -1 0.1 1e400 1e39 5e-324 NaN Infinity 16777217 65504 18446744073709551616 true null".split(),
)
"""What mutations may put in."""


def _wire(number: int, value: object) -> bytes:
    return bytes([number]) + json.dumps(value).encode()


def _npy(number: int, dtype: str, *shape: int) -> bytes:
    import numpy as np

    return bytes([number]) + npy.write(np.ones(shape, dtype))


def _tensor(datatype: str, shape: list[int], **more: object) -> dict[str, object]:
    return {"name": "x", "datatype": datatype, "shape": shape, **more}


def _grpc(datatype: str, shape: list[int], **contents: object) -> bytes:
    from clouddeploy.server.protocols.grpc_messages import messages

    message = messages()["ModelInferRequest"](model_name="m")
    one = message.inputs.add(name="x", datatype=datatype, shape=shape)
    raw = contents.pop("raw", None)
    if raw is not None:
        message.raw_input_contents.append(raw)
    for field, values in contents.items():
        getattr(one.contents, field).extend(values)
    return b"\0" + bytes(message.SerializeToString())


JSONS = (
    *(_wire(n, {"inputs": [[1, 2], [0.5, -3e3]]}) for n in (0, 1, 2, 7)),
    _wire(0, {"input": [1, 2]}),
    _wire(3, {"inputs": [[[1, 2, 3]], [[4, 5, 6]]]}),
    _wire(4, {"inputs": [[1, 255]]}),
    _wire(5, {"inputs": [[True, False]]}),
    _wire(6, {"inputs": ["a", "\u00fc\u2028\ud83d\ude00"]}),
    _wire(8, {"inputs": [{"a": "t", "b": [1, -128]}]}),
    _wire(9, {"inputs": [18446744073709551615, 0]}),
)
NPYS = (_npy(0, "float32", 1, 2), _npy(1, "float64", 2), _npy(3, "int64", 1, 1, 3), _npy(4, "uint8", 1, 2),
        _npy(5, "bool", 1, 2), _npy(6, "<U3", 2), _npy(0, ">f4", 1, 2), _npy(0, "float32", 0, 2))  # fmt: skip
V2 = (
    _wire(0, {"inputs": [_tensor("FP32", [1, 2], data=[1, 2])], "id": "i"}),
    _wire(6, {"inputs": [_tensor("BYTES", [2], data=["a", "b"])], "outputs": [{"name": "y"}]}),
    _wire(1, {"inputs": [_tensor("BF16", [1, 1], data=[[1]])], "parameters": {"binary_data_output": True}}),
    _wire(8, {"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1], "data": ["t"]},
                         {"name": "b", "datatype": "INT8", "shape": [1, 1], "data": [1]}]}),
)  # fmt: skip
BINARY = tuple(
    _wire(n, {"inputs": [_tensor(kind, shape, parameters={"binary_data_size": len(data)})]}) + b"\xff" + data
    for n, kind, shape, data in (
        (0, "FP32", [1, 2], b"\0\0\x80?" * 2),
        (6, "BYTES", [2], b"\1\0\0\0a\2\0\0\0bc"),
        (5, "BOOL", [1, 2], b"\0\1"),
        (0, "BF16", [1, 2], b"\x80?\x80?"),
        (0, "FP32", [0, 2], b""),
    )
)
TFS = (
    _wire(0, {"instances": [[1, 2]], "signature_name": "serving_default"}),
    _wire(6, {"instances": [{"b64": "YQ=="}, {"x": "b"}]}),
    _wire(8, {"inputs": {"a": ["t"], "b": [[1]]}}),
    _wire(8, {"examples": [{"a": "t"}], "context": {"b": [1]}}),
    _wire(0, {"inputs": [[1, 2]]}),
)
HEADS = (
    b"GET / HTTP/1.1\r\nhost: x",
    b"POST /predict?a=b HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 12\r\nX:  a b \r\nX: c",
    b"POST http://a/b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nexpect: 100-continue",
    b"OPTIONS * HTTP/1.0\r\nconnection: keep-alive, upgrade\r\nupgrade: h2c",
    b"GET /%2e%c3%bc HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked",
)
PASSED = (
    b"GET / HTTP/1.1\r\nX-Request-Id: a\r\nhost: x\r\ncookie: b\r\nauthorization: c",
    b"POST / HTTP/1.0\r\ncontent-length: 2\r\ntraceparent:\r\nx-forwarded-for: \xff , b",
    b"GET / HTTP/1.1\r\nhost: x\r\ncookie: a\r\ncookie: b\r\na: b\r\nc: d\r\ne: f\r\ng: h\r\ni: j",
)
CHUNKED = (
    b"\0003\r\nabc\r\n0\r\n\r\nGET ",
    b'\1a;x="y"\r\n0123456789\r\n1 ;z\r\na\r\n000\r\nx: y\r\n\r\n',
)
CLAIMS = (
    b'\1{"exp":99999999999,"sub":"me","nbf":0,"iat":0,"aud":"a","iss":"i"}',
    b'\1{"exp":"99999999999","client_id":1}',
    b"\0eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln",
)
KEYS = (
    b'{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig",'
    b'"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}',
    b'{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}',
    b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    b"-----END PUBLIC KEY-----",
)
KEY_FILE = (
    b'{"version":1,"keys":[{"id":"1f09ab34","name":"n","sha256":"%b","created":1.5,"expires":2e9}]}'
    % (b"0" * 64),
    b'{"keys":[{"id":"1f09ab34","name":"n","sha256":"%b","created":0,"expires":null}]}' % (b"a" * 64),
)
SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "json_body": JSONS,
    "quick_json": JSONS,
    "npy_body": NPYS,
    "quick_npy": NPYS,
    "csv_body": (b"\0001,2\n3,4.5\n", b'\6a\n"b ""c"""\r\n', b"\5true,0\n", b"\0011\n2\n", b"\3001,2,3\n"),
    "predictions": (
        b'\0\0{"predictions":[[1,2],[3,4]]}',
        b'\1\0{"prediction":{"a":1,"b":"x"}}',
        b'\x08\0{"predictions":[{"a":"t","b":[1]},{"a":"u","b":[2]}]}',
        b"\0\1" + NPYS[0][1:],
        b"\0\0021,2\n3,4\n",
    ),
    "quick_answers": tuple(bytes([n, 2, n]) + b"\0\0\x80?\xcd\xcc\xcc=" * 4 for n in range(9)),
    "v2_json": V2,
    "v2_bytes": BINARY,
    "v2_parsing": tuple(seed[1:] for seed in (*V2, *JSONS)),
    "tensorflow_serving": TFS,
    "grpc_message": (
        _grpc("FP32", [1, 2], fp32_contents=[1, 2]),
        _grpc("FP32", [1, 2], raw=b"\0\0\x80?" * 2),
        _grpc("BYTES", [1], bytes_contents=[b"a"]),
    ),
    "head": HEADS,
    "remembered_head": (*HEADS, *PASSED),
    "chunks": CHUNKED,
    "token": CLAIMS,
    "key_set": KEYS,
    "key_file": KEY_FILE,
    "api_key": (b"cd_1f09ab34_" + b"k" * 43, b"cd_1f09ab34_x", b"a.b.c"),
    "compressed": (zlib.compress(b"a" * 1000), zlib.compress(b"a" * 1000, wbits=31), b"\x1f\x8b\x08\0"),
}
