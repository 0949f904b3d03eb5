"""The OpenAPI document of what is loaded: valid, and its examples run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import jsonschema
import pytest

from tests.unit.server_protocols.conftest import Serve, Server

EACH = [(f"t{i}", name, (None, *([2] * (i % 3)))) for i, name in enumerate(("float16", "float32", "int8"))]
EACH += [("b", "bool", (None,)), ("s", "str", (None,)), ("u", "uint64", (None, None))]
MODELS: list[tuple[str, Any]] = [
    ("def predict(x):\n    return x\n", [("x", "float32", (None, 2))]),
    ("def predict(x):\n    return x\n", [("x", "int64", (None, None, 3))]),
    ("def predict(x):\n    return x['t0']\n", EACH),
    ("def predict(x):\n    return x\n", [("t", "str", (None,))]),
]


def requests_of(document: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Method, path and example of each operation that can be sent as it is."""
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "{" in path:
                continue
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            examples = content.get("examples", {"": {"value": None}})
            found += [(method.upper(), path, one["value"]) for one in examples.values()]
    return found


@pytest.mark.parametrize(("handler", "inputs"), MODELS)
def test_the_document_is_valid_and_every_example_runs(serve: Serve, handler: str, inputs: Any) -> None:
    from openapi_spec_validator import validate

    server = serve(handler, inputs, [])
    document = server.get("/openapi.json").json
    validate(document)
    asked = requests_of(document)
    assert {path for _, path, _ in asked} >= {"/predict", "/v2/models/m/infer", "/v1/models/m:predict"}
    for method, path, example in asked:
        operation = document["paths"][path][method.lower()]
        if method == "POST":
            assert example is not None
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            jsonschema.Draft202012Validator(schema).validate(example)
        reply = server.send(method, path, example)
        code = str(reply.status)
        assert code in operation["responses"], f"{method} {path}: {code} {reply.body!r}"
        answer = operation["responses"][code]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator(answer).validate(reply.json)


def test_the_schema_refuses_what_the_server_refuses(serve: Serve) -> None:
    server = serve()
    document = server.get("/openapi.json").json
    post = document["paths"]["/predict"]["post"]
    validator = jsonschema.Draft202012Validator(post["requestBody"]["content"]["application/json"]["schema"])
    for body in ({"input": [1]}, {"inputs": []}, {"inputs": [[1, "a"]]}, {}, {"input": [1, 2], "z": 1}, []):
        assert not validator.is_valid(body)
        reply = server.post("/predict", body)
        assert reply.status == 400
        jsonschema.validate(reply.json, document["components"]["schemas"]["Error"])


def test_a_model_without_a_signature_and_a_huge_one_have_no_examples(serve: Serve) -> None:
    from openapi_spec_validator import validate

    for inputs in ([], [("x", "float32", (None, 1000, 1000))]):
        server = serve("def predict(x):\n    return x\n", inputs, [])
        document = server.get("/openapi.json").json
        validate(document)
        assert all(example is None for _, _, example in requests_of(document))


def test_the_page_needs_nothing_else_and_its_policy_lets_its_script_run(serve: Serve) -> None:
    server: Server = serve()
    page = server.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    text = page.body.decode()
    assert not re.search(r"""(src|href)=["']""", text)
    assert "://" not in text
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    assert json.dumps("openapi.json") in text
