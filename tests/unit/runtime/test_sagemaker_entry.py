"""The entry file under the real sagemaker-inference toolkit, in a process as the container has it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime import Service
from tests.unit.runtime.conftest import SCALE, MakeArtifact, signature

pytest.importorskip("sagemaker_inference")

CONTAINER = '''
import base64, json, sys
from sagemaker_inference.default_handler_service import DefaultHandlerService

class Processor:
    def __init__(self, headers): self.headers = headers
    def get_request_properties(self): return self.headers

class Context:
    """What the model server hands to the toolkit, as far as the toolkit uses it."""
    model_name = "model"
    def __init__(self, model_dir):
        self.system_properties = {"model_dir": model_dir}
        self.request_processor = [Processor({})]
    def set_response_status(self, code=200, phrase="", idx=0): self.status = code
    def set_response_content_type(self, idx, value): self.content_type = value
    def get_request_id(self, idx=0): return "request-7"

context = Context(sys.argv[1])
service = DefaultHandlerService()
service.initialize(context)
for line in sys.stdin:
    body, headers = json.loads(line)
    context.status, context.content_type = 200, ""
    context.request_processor = [Processor(headers)]
    [found] = service.handle([{"body": base64.b64decode(body)}], context)
    plain = found.encode() if isinstance(found, str) else bytes(found)
    print(json.dumps([context.status, context.content_type, base64.b64encode(plain).decode()]), flush=True)
'''
FAILING = SCALE.replace("return inputs", "assert inputs[0, 0] != 13, 'unlucky secret'\n    return inputs")


def npy_batch() -> bytes:
    from clouddeploy.runtime import npy

    return npy.write(np.array([[0.5, 1], [2, 3]], dtype=np.float32))


REQUESTS = [
    (b'{"inputs":[[0.1,2],[3,4]]}', "application/json", "application/json"),
    (b'{"input":[0.1,2]}', "application/json", "*/*"),
    (b'{"input":[0.1,2]}', "application/json; charset=utf-8", "application/json"),
    (npy_batch(), "application/x-npy", "application/x-npy"),
    (b"1,2\n3,4\n", "text/csv", "text/csv"),
    (b'{"inputs":[[1,2,3]]}', "application/json", "application/json"),
    (b'{"inputs":[[1,NaN]]}', "application/json", "application/json"),
    (b"", "application/json", "application/json"),
    (b"<x/>", "application/xml", "application/json"),
    (b'{"input":[1,2]}', "application/json", "image/png"),
    (b'{"input":[13,2]}', "application/json", "application/json"),
]


def serve(folder: Path, requests: list[tuple[bytes, str, str]]) -> tuple[list[Any], str]:
    lines = [
        json.dumps([base64.b64encode(body).decode(), {"Content-Type": kind, "Accept": accept}])
        for body, kind, accept in requests
    ]
    found = subprocess.run(
        [sys.executable, "-P", "-c", CONTAINER, str(folder)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder.parent,
        env={"PYTHONPATH": str(folder / "code"), "PATH": "/usr/bin:/bin"},
    )
    return [json.loads(line) for line in found.stdout.splitlines() if line.startswith("[")], found.stderr


def test_the_toolkit_answers_byte_for_byte_as_the_service_does(artifact: MakeArtifact) -> None:
    folder = artifact(FAILING, signature=signature(("x", "float32", [None, 2])))
    np.save(folder / "weights.npy", np.array([[1, 0.1], [0, 2]], dtype=np.float32))
    service = Service.load(folder, keep_path=False)
    answers, log = serve(folder, REQUESTS)
    assert len(answers) == len(REQUESTS)
    for request, (status, kind, body) in zip(REQUESTS, answers, strict=True):
        expected = service.answer(*request, request_id="request-7")
        assert (status, kind, base64.b64decode(body)) == (
            expected.status,
            expected.content_type,
            expected.body,
        )
    assert [status for status, _, _ in answers] == [200] * 5 + [400, 400, 400, 415, 406, 500]
    assert "unlucky secret" in log
    assert b"secret" not in base64.b64decode(answers[-1][2])


def test_without_a_context_the_functions_raise(artifact: MakeArtifact) -> None:
    folder = artifact("def predict(inputs): return inputs\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1] + '/code'); import inference as i\n"
        "model = i.model_fn(sys.argv[1])\n"
        "print(i.output_fn(i.predict_fn(i.input_fn('{\"inputs\":[1]}', 'application/json'), model), '*/*'))\n"
        "try: i.predict_fn(i.input_fn('{', 'application/json'), model)\n"
        "except i.WireError as error: print(error.code)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == ["(b'{\"predictions\":[1]}', 'application/json')", "bad_json"]
