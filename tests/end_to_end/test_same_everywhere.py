"""The same request gives the same bytes on SageMaker and on Lambda."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clouddeploy import Compute, Model
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


@pytest.mark.filterwarnings("ignore")
def test_the_onnx_form_answers_byte_for_byte_alike_on_both(cloud: Cloud, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = SmallNet().eval()
    model = Model.from_torch(net, example_input=torch.from_numpy(IMAGES[:1]), format="state_dict").to("onnx")
    sagemaker = cloud.deployer("sagemaker").deploy(model, "digits", compute=Compute(instance="ml.m5.large"))
    with local_wheels("numpy", "onnxruntime", "flatbuffers", "protobuf", "packaging"):
        function = cloud.deployer("lambda", runtime=LOCAL_RUNTIME).deploy(
            model, "digits", compute=Compute(memory_mb=1024, architecture=local_architecture())
        )
    for body, content_type, accept in REQUESTS:
        one = sagemaker.predict_raw(body, content_type=content_type, accept=accept)
        other = function.predict_raw(body, content_type=content_type, accept=accept)
        assert (one.body, one.content_type) == (other.body, other.content_type)
    assert np.array_equal(function.predict(IMAGES), np.asarray(model.load()(IMAGES)))
