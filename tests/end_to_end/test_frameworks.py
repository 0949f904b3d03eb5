"""Each kind of model on the embedded cloud, bit for bit what it answers in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from clouddeploy import Compute, Model
from clouddeploy.testing.plugin import Cloud
from tests.end_to_end.nets import SmallNet

IMAGES = np.random.default_rng(0).random((5, 1, 8, 8), dtype=np.float32)


def net() -> SmallNet:
    torch.manual_seed(0)
    return SmallNet().eval()


def exported(folder: Path) -> Model:
    return Model.from_torch(net(), example_input=torch.from_numpy(IMAGES[:1]))


def state_dict(folder: Path) -> Model:
    return Model.from_torch(net(), example_input=torch.from_numpy(IMAGES[:1]), format="state_dict")


def onnx_file(folder: Path) -> Model:
    path = folder / "net.onnx"
    free = {"images": {0: "batch"}, "scores": {0: "batch"}}
    example = (torch.from_numpy(IMAGES[:1]),)
    torch.onnx.export(
        net(), example, path, dynamo=False, input_names=["images"], output_names=["scores"], dynamic_axes=free
    )
    return Model.from_file(path)


@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based ONNX export")
@pytest.mark.parametrize("make", [exported, state_dict, onnx_file])
def test_the_endpoint_answers_bit_for_bit_as_the_model_in_process(
    cloud: Cloud, tmp_path: Path, make: Callable[[Path], Model]
) -> None:
    model = make(tmp_path)
    endpoint = cloud.deployer("sagemaker").deploy(model, "digits", compute=Compute(instance="ml.m5.large"))
    answer = endpoint.predict(IMAGES)
    here = np.asarray(model.load()(IMAGES))
    assert answer.shape == (5, 10)
    assert answer.dtype == here.dtype
    assert answer.tobytes() == here.tobytes()
    with torch.inference_mode():
        np.testing.assert_allclose(answer, net()(torch.from_numpy(IMAGES)).numpy(), rtol=1e-5, atol=1e-6)
