"""A real server with a model of every kind, asked what its own OpenAPI document allows, and what it doesn't.

Whatever is sent: no answer of 5xx but for a model's own failure, each refusal in the protocol's frame with a
code that is known, each answer of 200 as the document says, and the same worker at the end as at first.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clouddeploy.runtime.errors import STATUS
from tests.fuzz.conftest import JSON, Asked, Operation
from tests.fuzz.generating import allowed, damaged
from tests.fuzz.models import MODELS
from tests.fuzz.test_harnesses import mutated
from tools.fuzz.seeds import SEEDS

SEED = settings(max_examples=600, suppress_health_check=list(HealthCheck), derandomize=True, database=None)


def in_frame(operation: Operation, status: int, headers: dict[str, str], body: bytes) -> str:
    """The code of a refusal in its protocol's frame."""
    told = json.loads(body)["error"]
    if operation.protocol in ("v1", "v2"):
        assert isinstance(told, str)
        code = headers["x-clouddeploy-error"]
    else:
        assert told.keys() == {"code", "message", "fix"}
        code = told["code"]
    assert STATUS[code] == status
    return code


def check(operation: Operation, status: int, headers: dict[str, str], body: bytes) -> None:
    """Fail unless it is an answer as the document has it."""
    if status >= 400:
        code = in_frame(operation, status, headers, body)
        own = code == "prediction_failed" and "/picky" in operation.path
        odd = code == "non_finite_prediction" or (code == "bad_prediction" and "/any" in operation.path)
        assert status < 500 or own or odd, (code, body)
        return
    content = operation.answers[str(status)]["content"]
    kind = headers["content-type"].partition(";")[0]
    assert kind in content
    if kind == JSON:
        jsonschema.Draft202012Validator(content[kind]["schema"]).validate(json.loads(body))


def test_every_protocol_of_every_model_is_in_the_document(asked: Asked) -> None:
    paths = {operation.path for operation in asked.operations}
    for name in MODELS:
        wanted = {f"/models/{name}/predict", f"/v2/models/{name}/infer", f"/v1/models/{name}:predict"}
        assert wanted <= paths or name == "steps"
    assert "/v2/models/steps/infer" not in paths, "V2 has no streams"


def test_the_documented_examples_are_answered_with_2xx(asked: Asked) -> None:
    for operation in asked.operations:
        if operation.example is not None:
            answer = asked.post(operation.path, json.dumps(operation.example).encode(), content_type=JSON)
            assert answer[0] in (200, 202), (operation.path, answer)
            check(operation, *answer)


def test_what_the_document_allows_is_answered(asked: Asked) -> None:
    @SEED
    @given(st.sampled_from(asked.operations).flatmap(lambda o: st.tuples(st.just(o), allowed(o.schema))))
    def run(case: tuple[Operation, Any]) -> None:
        operation, value = case
        answer = asked.post(operation.path, json.dumps(value).encode(), content_type=JSON)
        check(operation, *answer)
        if operation.exact and "/picky" not in operation.path:
            assert answer[0] in (200, 202), (operation.path, value, answer)

    run()


def test_what_the_document_forbids_is_refused_and_nothing_else_fails(asked: Asked) -> None:
    @SEED
    @given(st.sampled_from(asked.operations).flatmap(lambda o: st.tuples(st.just(o), damaged(o.schema))))
    def run(case: tuple[Operation, Any]) -> None:
        operation, value = case
        answer = asked.post(operation.path, json.dumps(value).encode(), content_type=JSON)
        check(operation, *answer)
        if not jsonschema.Draft202012Validator(operation.schema).is_valid(value):
            assert operation.protocol == "v1" or answer[0] >= 400, (operation.path, value, answer)

    run()


ODD = ["application/x-npy", "text/csv", JSON, "text/plain", "application/octet-stream", "x", "*/*", ""]
BODIES = tuple(seed[1:] for name in ("npy_body", "csv_body", "json_body", "v2_bytes") for seed in SEEDS[name])


def test_any_bytes_of_any_kind_are_answered_in_any_form_or_refused(asked: Asked) -> None:
    forms = st.sampled_from([*ODD, "text/event-stream", "application/x-ndjson", "text/csv;q=0.5, */*;q=0.1"])

    @SEED
    @given(st.sampled_from(asked.operations), mutated(BODIES), st.sampled_from(ODD), forms)
    def run(operation: Operation, body: bytes, kind: str, accept: str) -> None:
        more = {"inference_header_content_length": str(len(body) // 2)} if operation.protocol == "v2" else {}
        answer = asked.post(operation.path, body, content_type=kind, accept=accept, **more)
        if answer[0] >= 400:
            check(operation, *answer)

    run()
