"""Bad input, kind by kind, to a real server: each is refused with the code and the words that help."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime import npy
from tests.fuzz.conftest import JSON, Asked

NPY, CSV = "application/x-npy", "text/csv"
GOOD = npy.write(np.ones((1, 2), np.float32))
OBJECTS = np.array([[{"a": 1}, "b"]], dtype=object)


def tensor(**more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2], **more}]}


def pickled() -> bytes:
    import io

    out = io.BytesIO()
    np.save(out, OBJECTS, allow_pickle=True)
    return out.getvalue()


def header(shape: str, data: bytes = b"") -> bytes:
    """An npy file with a shape as it stands."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


FLOATS, INTS, V1, V2 = (
    "/predict",
    "/models/ints/predict",
    "/v1/models/floats:predict",
    "/v2/models/floats/infer",
)
CASES: dict[str, tuple[str, str, Any, int, str, str]] = {
    "no JSON": (FLOATS, JSON, b"{", 400, "bad_json", "line 1 column 2"),
    "no JSON, V1": (V1, JSON, b"{", 400, "bad_json", "line 1 column 2"),
    "no JSON, V2": (V2, JSON, b"{", 400, "bad_json", "line 1 column 2"),
    "nothing": (FLOATS, JSON, b"", 400, "empty_body", "is empty"),
    "no UTF-8": (FLOATS, JSON, b'{"input":"\xff"}', 400, "bad_json", "not UTF-8 at byte 10"),
    "a key twice": (FLOATS, JSON, b'{"input":[1,2],"input":[1,2]}', 400, "bad_json", "stands twice"),
    "nested without end": (FLOATS, JSON, b"[" * 100_000, 400, "bad_json", "nested too deeply"),
    "nested without end, V2": (V2, JSON, b"[" * 100_000, 400, "bad_json", "nested too deeply"),
    "text for numbers": (FLOATS, JSON, {"input": [1, "2"]}, 400, "bad_dtype", "input[1] is '2'"),
    "null": (FLOATS, JSON, {"inputs": [[1, None]]}, 400, "bad_dtype", "inputs[0][1] is null"),
    "too few": (FLOATS, JSON, {"input": [1]}, 400, "bad_shape", "takes (2)"),
    "too deep": (FLOATS, JSON, {"input": [[1, 2]]}, 400, "bad_shape", "takes (2)"),
    "ragged": (FLOATS, JSON, {"inputs": [[1, 2], [1]]}, 400, "bad_shape", "inputs[1]"),
    "half a whole number": (INTS, JSON, {"input": [[1, 2, 0.5]]}, 400, "bad_dtype", "input[0][2] is 0.5"),
    "beyond 64 bits": (INTS, JSON, {"input": [[1, 2, 2**70]]}, 400, "bad_dtype", "out of range for int64"),
    "beyond float32": (FLOATS, JSON, {"input": [1, 1e39]}, 400, "bad_dtype", "out of range for float32"),
    "NaN": (FLOATS, JSON, b'{"input":[1,NaN]}', 400, "bad_json", "NaN, which JSON has not"),
    "Infinity": (V1, JSON, b'{"instances":[[1,-Infinity]]}', 400, "bad_json", "-Infinity, which"),
    "infinite": (FLOATS, JSON, b'{"input":[1,1e999]}', 400, "bad_dtype", "beyond float64"),
    "NaN in CSV": (FLOATS, CSV, b"1,nan\n", 400, "bad_input", "row 1, column 2"),
    "ragged CSV": (FLOATS, CSV, b"1,2\n3\n", 400, "bad_shape", "row 2 has 1 fields"),
    "truncated npy": (FLOATS, NPY, GOOD[:-3], 400, "bad_input", "holds 5 bytes of data; its header says 8"),
    "npy with more": (FLOATS, NPY, GOOD + b"x", 400, "bad_input", "holds 9 bytes"),
    "npy cut in its header": (FLOATS, NPY, GOOD[:40], 400, "bad_input", "can't be right"),
    "pickled npy": (FLOATS, NPY, pickled(), 400, "bad_dtype", "pickled objects, which are never loaded"),
    "a pickle": (FLOATS, NPY, pickle.dumps([1, 2]), 400, "bad_input", "is no npy file"),
    "huge npy": (FLOATS, NPY, header("(99999999, 99999999, 9999)"), 400, "bad_input", "can't be right"),
    "negative npy": (FLOATS, NPY, header("(-1, 2)"), 400, "bad_input", "can't be right"),
    "npy of nothing": (FLOATS, NPY, header("(0, 2)"), 400, "bad_shape", "no example"),
    "empty and huge npy": (FLOATS, NPY, header("(0, 1099511627776, 999999999)"), 400, "bad_input", "right"),
    "huge V2": (V2, JSON, tensor(shape=[2**62, 2**62]), 400, "bad_shape", "no list of whole numbers"),
    "large V2": (V2, JSON, tensor(shape=[1 << 30, 1 << 30]), 400, "bad_shape", "can't be right"),
    "negative V2": (V2, JSON, tensor(shape=[-1, 2]), 400, "bad_shape", "no list of whole numbers from 0"),
    "another V2 shape": (V2, JSON, tensor(shape=[1, 3]), 400, "bad_shape", "2 values; its shape is [1, 3]"),
    "another V2 datatype": (V2, JSON, tensor(datatype="FP31"), 400, "bad_dtype", "'FP31'"),
    "V2 bytes, no length": (V2, JSON, tensor(parameters={"binary_data_size": 8}), 400, "bad_input", "Length"),
    "another name": (V2, JSON, tensor(name="z"), 400, "bad_input", "the model takes x"),
    "unknown model": ("/models/nobody/predict", JSON, {"input": 1}, 404, "not_found", "nobody"),
    "unknown model, V1": ("/v1/models/nobody:predict", JSON, {"instances": [1]}, 404, "not_found", "nobody"),
    "unknown model, V2": ("/v2/models/nobody/infer", JSON, tensor(), 404, "not_found", "nobody"),
    "unknown version": ("/models/floats/versions/9/predict", JSON, {"input": 1}, 404, "not_found", "9"),
    "unknown version, V2": ("/v2/models/floats/versions/9/infer", JSON, tensor(), 404, "not_found", "9"),
    "unknown label": ("/models/floats/labels/blue/predict", JSON, {"input": 1}, 404, "not_found", "blue"),
    "unknown path": ("/prediction", JSON, {"input": 1}, 404, "not_found", "/prediction"),
    "another kind": (FLOATS, "image/png", b"\x89PNG", 415, "unsupported_media_type", "'image/png'"),
    "a failing model": ("/models/picky/predict", JSON, {"input": [13]}, 500, "prediction_failed", "model"),
    "a stream over V2": ("/v2/models/steps/infer", JSON, tensor(), 406, "not_acceptable", "bit by bit"),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_bad_input_is_refused_with_what_is_wrong_and_what_to_do(asked: Asked, what: str) -> None:
    path, kind, body, status, code, words = CASES[what]
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    found, headers, answer = asked.post(path, data, content_type=kind)
    told = json.loads(answer)["error"]
    assert found == status, told
    if path.startswith(("/v1/", "/v2/")):
        assert headers["x-clouddeploy-error"] == code
        assert words in told
    else:
        assert told["code"] == code
        assert words in told["message"]
        assert told["fix"]


def test_a_path_that_takes_another_method_tells_which(asked: Asked) -> None:
    for method in ("GET", "PUT", "TRACE", "QUERY"):
        answer = asked.server.call("/predict", method=method)
        assert answer.status == 405
        assert answer.headers["allow"] == "POST"
    assert asked.server.call("/models", method="DELETE").headers["allow"] == "GET, HEAD"
