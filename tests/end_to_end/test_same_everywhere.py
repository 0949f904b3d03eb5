"""The same request gives the same bytes on every target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from clouddeploy import Compute, Endpoint, Model
from clouddeploy.testing.image_rig import SERVED, local_machine
from clouddeploy.testing.plugin import Cloud
from clouddeploy.testing.rigs import LOCAL_RUNTIME, local_architecture, local_wheels
from tests.end_to_end.nets import SmallNet

JSON = "application/json"
IMAGES = np.random.default_rng(1).random((3, 1, 8, 8), dtype=np.float32)
REQUESTS = [
    (b'{"inputs": %s}' % str(IMAGES.tolist()).encode(), JSON, JSON),
    (b'{"input": %s}' % str(IMAGES[0].tolist()).encode(), JSON, JSON),
    (b'{"inputs": %s}' % str(IMAGES.tolist()).encode(), JSON, "text/csv"),
    (b'{"inputs": %s}' % str(IMAGES.tolist()).encode(), JSON, "application/x-npy"),
]


def deployed(cloud: Cloud, model: Model) -> Iterator[tuple[str, Endpoint]]:
    machine = {"compute": Compute(instance="ml.m5.large")}
    yield "sagemaker", cloud.deployer("sagemaker").deploy(model, "digits", **machine)
    compute = Compute(memory_mb=1024, architecture=local_architecture())
    packages = ("onnxruntime", "flatbuffers", "protobuf", "packaging")
    with local_wheels(*packages, *SERVED, framework=True):
        image = cloud.deployer("sagemaker", package="image", python=LOCAL_RUNTIME.removeprefix("python"))
        own = Compute(instance=local_machine())
        yield "sagemaker image", image.deploy(model, "digits-image", compute=own)
        function = cloud.deployer("lambda", runtime=LOCAL_RUNTIME)
        yield "lambda", function.deploy(model, "digits", compute=compute)
        for target in ("cloud-functions", "cloud-run"):
            google = cloud.deployer(target, runtime=LOCAL_RUNTIME.replace(".", ""))
            yield target, google.deploy(model, f"digits-{target}", compute=compute)


@pytest.mark.filterwarnings("ignore")
def test_the_onnx_form_answers_byte_for_byte_alike_everywhere(cloud: Cloud, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = SmallNet().eval()
    model = Model.from_torch(net, example_input=torch.from_numpy(IMAGES[:1]), format="state_dict").to("onnx")
    answers: dict[str, list[tuple[bytes, str]]] = {}
    for target, endpoint in deployed(cloud, model):
        replies = [endpoint.predict_raw(b, content_type=kind, accept=accept) for b, kind, accept in REQUESTS]
        answers[target] = [(reply.body, reply.content_type) for reply in replies]
        assert np.array_equal(endpoint.predict(IMAGES), np.asarray(model.load()(IMAGES)))
    assert set(answers) == {"sagemaker", "sagemaker image", "lambda", "cloud-functions", "cloud-run"}
    assert all(answers[target] == answers["sagemaker"] for target in answers)
