"""The wire contract's endpoints and SageMaker's, by real bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tests.unit.server_protocols.conftest import Serve


def test_predict_takes_one_example_or_a_batch(serve: Serve) -> None:
    server = serve()
    assert server.post("/predict", {"input": [1, 2]}).json == {"prediction": [2, 4]}
    reply = server.post("/predict", {"inputs": [[1, 2], [3, 0.25]]})
    assert reply.json == {"predictions": [[2, 4], [6, 0.5]]}
    assert reply.headers["x-clouddeploy-model"] == "0" * 64


def test_batch_predict_takes_batches_alone(serve: Serve) -> None:
    server = serve()
    assert server.post("/batch_predict", {"inputs": [[1, 2]]}).json == {"predictions": [[2, 4]]}
    refused = server.post("/batch_predict", {"input": [1, 2]})
    assert refused.status == 400
    assert refused.json["error"]["code"] == "bad_input"
    assert "/predict" in refused.json["error"]["fix"]


def test_npy_and_csv_go_in_and_out(serve: Serve) -> None:
    server = serve()
    file = io.BytesIO()
    np.save(file, np.array([[1, 2]], np.float32))
    reply = server.post(
        "/predict", file.getvalue(), content_type="application/x-npy", accept="application/x-npy"
    )
    assert reply.headers["content-type"] == "application/x-npy"
    assert np.load(io.BytesIO(reply.body)).tolist() == [[2, 4]]
    assert server.post("/predict", b"1,2\n", content_type="text/csv", accept="text/csv").body == b"2.0,4.0\n"
    assert server.post("/predict", {"input": [1, 2]}, accept="image/png").status == 406
    assert server.post("/predict", b"x", content_type="image/png").status == 415


@pytest.mark.parametrize("path", ["/predict", "/invocations"])
def test_json_in_gives_npy_and_csv_out_where_they_are_accepted(serve: Serve, path: str) -> None:
    server = serve()
    for asked in ({"inputs": [[1, 2]]}, {"input": [1, 2]}):
        npy = server.post(path, asked, accept="application/x-npy")
        assert npy.headers["content-type"] == "application/x-npy"
        assert np.load(io.BytesIO(npy.body)).ravel().tolist() == [2, 4]
        csv = server.post(path, asked, accept="text/csv")
        assert csv.headers["content-type"] == "text/csv"
        assert csv.body == b"2.0,4.0\n"


@pytest.mark.parametrize("path", ["/health", "/live", "/ready", "/ping"])
def test_a_server_tells_that_it_lives_and_is_ready(serve: Serve, path: str) -> None:
    assert serve().get(path).json == {"status": "ok"}


def test_a_server_that_stops_is_alive_but_not_ready(serve: Serve) -> None:
    server = serve()
    server.app.ready, server.app.draining = False, True
    assert server.get("/health").status == 200
    refused = server.get("/ready")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.json["error"]["code"] == "not_ready"


def test_models_are_listed_with_what_they_take(serve: Serve) -> None:
    server = serve()
    (model,) = server.get("/models").json["models"]
    assert model["name"] == model["modelName"] == "m"
    assert model["inputs"] == [{"name": "x", "dtype": "float32", "shape": [None, 2]}]
    assert server.get("/models/m").json == model
    assert server.get("/models/other").status == 404
    assert server.post("/models/m/predict", {"input": [1, 2]}).json == {"prediction": [2, 4]}
    assert server.post("/models/other/predict", {"input": [1, 2]}).json["error"]["code"] == "not_found"


def test_sagemaker_invokes_with_target_model_and_custom_attributes(serve: Serve) -> None:
    server = serve()
    body = {"inputs": [[1, 2]]}
    plain = server.post("/invocations", body)
    assert plain.json == {"predictions": [[2, 4]]}
    attributes = "x-amzn-sagemaker-custom-attributes"
    assert attributes not in plain.headers
    named = server.send("POST", "/invocations", body, **{attributes: "trace=1", "x-clouddeploy-x": "1"})
    assert named.headers[attributes] == "trace=1"
    for target in ("m", "m.tar.gz", "/m.tar.gz"):
        assert (
            server.send("POST", "/invocations", body, **{"x-amzn-sagemaker-target-model": target}).status
            == 200
        )
    missing = server.send("POST", "/invocations", body, **{"x-amzn-sagemaker-target-model": "z.tar.gz"})
    assert missing.status == 404
    assert missing.json["error"]["code"] == "not_found"
    assert "'z'" in missing.json["error"]["message"]
    assert server.send("POST", "/invocations", body, **{attributes: "x" * 1025}).status == 400
    assert server.post("/models/m/invoke", body).json == {"predictions": [[2, 4]]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b"{", "bad_json"),
        (b"[]", "bad_input"),
        (b'{"inputs":[]}', "bad_shape"),
        (b'{"inputs":[[1,2,3]]}', "bad_shape"),
        (b'{"inputs":[[1,"a"]]}', "bad_dtype"),
        (b'{"inputs":[[1,NaN]]}', "bad_json"),
        (b'{"inputs":[[1,1e999]]}', "bad_dtype"),
        (b'{"input":[1,2],"input":[1,2]}', "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b'\xff{"inputs":[[1,2]]}', "bad_json"),
    ],
)
def test_a_malformed_body_is_refused_with_its_fault(serve: Serve, body: bytes, code: str) -> None:
    reply = serve().post("/predict", body)
    assert reply.status == 400
    assert reply.json["error"]["code"] == code
    assert reply.json["error"]["fix"]
