"""TensorFlow Serving's REST API by real bytes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server_protocols.conftest import DOUBLE, Serve, model_folder

TWO = "def predict(x):\n    return {'sum': x['a'] + x['b'], 'more': x['a'] > x['b']}\n"
TWO_INPUTS = [("a", "float64", (None,)), ("b", "float64", (None,))]
TEXT = """
import numpy as np

def predict(x):
    return {"size": np.array([len(t) for t in x]), "same_bytes": x}
"""
PREDICT = "/v1/models/m:predict"


def test_rows_and_columns_of_one_input(serve: Serve) -> None:
    server = serve()
    assert server.post(PREDICT, {"instances": [[1, 2], [3, 4]]}).json == {"predictions": [[2, 4], [6, 8]]}
    assert server.post(PREDICT, {"instances": [{"x": [1, 2]}]}).json == {"predictions": [[2, 4]]}
    assert server.post(PREDICT, {"inputs": [[1, 2]]}).json == {"outputs": [[2, 4]]}
    assert server.post(PREDICT, {"inputs": {"x": [[1, 2]]}}).json == {"outputs": [[2, 4]]}
    named = {"signature_name": "serving_default", "instances": [[1, 2]]}
    for path in ("/v1/models/m/versions/1:predict", PREDICT):
        assert server.post(path, named).json == {"predictions": [[2, 4]]}


def test_what_curl_sends_without_a_content_type_is_read(serve: Serve) -> None:
    form = "application/x-www-form-urlencoded"
    assert serve().post(PREDICT, {"instances": [[1, 2]]}, content_type=form).status == 200


def test_rows_and_columns_of_several_inputs_and_outputs(serve: Serve) -> None:
    server = serve(TWO, TWO_INPUTS, [])
    rows = server.post(PREDICT, {"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 1}]})
    assert rows.json == {"predictions": [{"sum": 3, "more": False}, {"sum": 4, "more": True}]}
    columns = server.post(PREDICT, {"inputs": {"a": [1, 3], "b": [2, 1]}})
    assert columns.json == {"outputs": {"sum": [3, 4], "more": [False, True]}}


def test_text_may_be_wrapped_as_base64_and_outputs_named_bytes_are(serve: Serve) -> None:
    server = serve(TEXT, [("t", "str", (None,))], [])
    wrapped = {"b64": base64.b64encode("grüße".encode()).decode()}
    for value in (wrapped, "grüße", {"t": wrapped}):
        (row,) = server.post(PREDICT, {"instances": [value]}).json["predictions"]
        assert row == {"size": 5, "same_bytes": wrapped}
    assert server.post(PREDICT, {"inputs": [wrapped]}).json["outputs"]["same_bytes"] == [wrapped]


def test_status_and_metadata(serve: Serve) -> None:
    server = serve()
    status = {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    assert server.get("/v1/models/m").json == status
    assert server.get("/v1/models/m/versions/1").json == status
    metadata = server.get("/v1/models/m/metadata").json
    assert metadata["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    definition = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert definition["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in definition["inputs"]["x"]["tensor_shape"]["dim"]] == ["-1", "2"]
    assert definition["method_name"] == "tensorflow/serving/predict"


def test_each_version_has_its_state_and_a_broken_one_its_reason(serve: Serve, tmp_path: Path) -> None:
    many = tmp_path / "many"
    model_folder(many / "m" / "1", DOUBLE)
    model_folder(many / "m" / "2", "def predict(x):\n    return x * 4\n")
    model_folder(many / "m" / "3", "raise ValueError('broken')\n")
    server = serve(models=many, versions="all", settle_s=0)
    broken, *rest = server.get("/v1/models/m").json["model_version_status"]
    assert [(row["version"], row["state"]) for row in rest] == [("2", "AVAILABLE"), ("1", "AVAILABLE")]
    assert (broken["version"], broken["state"]) == ("3", "END")
    assert "broken" in broken["status"]["error_message"]
    assert server.get("/v1/models/m/versions/2").json["model_version_status"] == [rest[0]]
    assert server.get("/v1/models/m/versions/7").status == 404
    for version, factor in (("1", 2), ("2", 4)):
        reply = server.post(f"/v1/models/m/versions/{version}:predict", {"instances": [[1, 2]]})
        assert reply.json == {"predictions": [[factor, 2 * factor]]}


def test_classify_gives_scores_and_regress_a_number(serve: Serve) -> None:
    examples = {"examples": [{"x": [1, 2]}, {"x": [3, 4]}]}
    classified = serve().post("/v1/models/m:classify", examples)
    assert classified.json == {"result": [[["0", 2], ["1", 4]], [["0", 6], ["1", 8]]]}
    adder = serve("def predict(x):\n    return x.sum(axis=1)\n")
    body = {**examples, "signature_name": "tensorflow/serving/regress"}
    assert adder.post("/v1/models/m:regress", body).json == {"result": [3, 7]}
    assert "several numbers" in serve().post("/v1/models/m:regress", examples).json["error"]
    assert "no list of scores" in adder.post("/v1/models/m:classify", examples).json["error"]


def test_context_is_shared_by_all_examples(serve: Serve) -> None:
    server = serve("def predict(x):\n    return x['a'] + x['b']\n", TWO_INPUTS, [])
    body = {"context": {"b": 10}, "examples": [{"a": 1}, {"a": 2}]}
    assert server.post("/v1/models/m:regress", body).json == {"result": [11, 12]}
    twice = {"context": {"a": 10}, "examples": [{"a": 1}]}
    assert "stands in context and" in server.post("/v1/models/m:regress", twice).json["error"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the body is empty"),
        (b"{", "line 1"),
        ([], "no object"),
        ({}, "keys none"),
        ({"instances": [[1, 2]], "inputs": [[1, 2]]}, "expected instances or inputs alone"),
        ({"instances": []}, "no list of at least one"),
        ({"instances": 3}, "no list of at least one"),
        ({"instances": [[1, 2, 3]]}, "instances[0]"),
        ({"instances": [[1, 2], [1]]}, "another length"),
        ({"instances": [[1, "a"]]}, "instances[0][1]"),
        ({"instances": [[1, {"b64": "!"}]]}, "instances[0]"),
        ({"instances": [{"b64": "!"}]}, "instances[0].b64"),
        ({"instances": [{"b64": 3}]}, "instances[0].b64"),
        ({"instances": [{"b64": "/w=="}]}, "instances[0].b64"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": {"z": [[1, 2]]}}, "named z"),
        ({"inputs": 3}, "holds no example"),
        ({"inputs": {"x": []}}, "holds no example"),
        ({"instances": [[1, 2]], "signature_name": "other"}, 'Serving signature key "other" not found.'),
        ({"instances": [[1, 2]], "signature_name": 7}, 'Serving signature key "7" not found.'),
    ],
)
def test_what_is_wrong_is_told(serve: Serve, body: Any, says: str) -> None:
    reply = serve().post(PREDICT, body)
    assert reply.status == 400
    assert list(reply.json) == ["error"]
    assert says in reply.json["error"]


@pytest.mark.parametrize("body", [{}, {"examples": 3}, {"examples": [3]}, {"examples": []}, {"context": 1}])
def test_examples_that_are_none_are_refused(serve: Serve, body: Any) -> None:
    assert serve().post("/v1/models/m:classify", body).status == 400


def test_an_unknown_model_is_404_in_the_apis_frame(serve: Serve) -> None:
    server = serve()
    for reply in (
        server.post("/v1/models/other:predict", {"instances": [[1, 2]]}),
        server.get("/v1/models/other"),
        server.get("/v1/models/other/metadata"),
    ):
        assert reply.status == 404
        assert "'other'" in reply.json["error"]
