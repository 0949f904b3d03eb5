"""What SageMaker makes of a wish when an image is built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clouddeploy.model import Model
from clouddeploy.providers.sagemaker import SageMaker
from clouddeploy.providers.sagemaker.permissions import deployer_actions
from clouddeploy.providers.sagemaker.source import architecture_of
from clouddeploy.spec import Compute, Deployment

IMAGE: dict[str, Any] = {"region": "eu-west-1", "package": "image"}


def findings(model: Model, *, options: dict[str, Any] | None = None, **wish: Any) -> dict[str, str]:
    """What is said of which field."""
    found = SageMaker(**IMAGE, **(options or {})).check(Deployment(model=model, name="digits", **wish))
    return {finding.field: finding.support for finding in found}


def test_the_torch_of_awss_images_does_not_matter(model: Model) -> None:
    bound = replace(model, format="torchscript", framework=("torch", "99.0"))
    wish: dict[str, Any] = {"compute": Compute(instance="ml.m5.large")}
    plain = SageMaker(region="eu-west-1").check(Deployment(model=bound, name="digits", **wish))
    assert "model" in {finding.field for finding in plain}
    assert "model" not in findings(bound, **wish)


def test_a_gpu_is_told_to_stay_idle_for_onnx_and_not_for_torch(model: Model) -> None:
    wish: dict[str, Any] = {"compute": Compute(instance="ml.g5.xlarge")}
    assert findings(model, **wish)["compute.instance"] == "approximated"
    assert "compute.instance" not in findings(model, options={"form": "torch"}, **wish)


def test_an_accelerator_without_a_driver_stays_impossible(model: Model) -> None:
    assert findings(model, compute=Compute(instance="ml.inf2.xlarge"))["compute.instance"] == "impossible"


def test_a_compression_is_told_to_be_the_layers_own(model: Model) -> None:
    wish: dict[str, Any] = {"compute": Compute(instance="ml.m5.large"), "compression": "none"}
    assert findings(model, **wish)["compression"] == "approximated"
    serverless: dict[str, Any] = {"compute": Compute(memory_mb=2048), "compression": "none"}
    assert findings(model, **serverless)["compression"] == "approximated"


def test_the_machine_says_which_architecture_the_image_has(model: Model) -> None:
    def of(**compute: Any) -> str:
        return architecture_of(Deployment(model=model, name="digits", compute=Compute(**compute)))

    assert of(instance="ml.m5.large") == "x86_64"
    assert of(instance="ml.c7g.large") == "arm64"
    assert of(instance="ml.m6gd.large") == "arm64"
    assert of(instance="ml.g5.xlarge") == "x86_64"
    assert of(memory_mb=2048) == "x86_64"


def test_who_deploys_needs_ecr_too() -> None:
    actions = deployer_actions()
    for name in (
        "CreateRepository",
        "PutImage",
        "UploadLayerPart",
        "BatchDeleteImage",
        "GetAuthorizationToken",
    ):
        assert f"ecr:{name}" in actions
    assert "ecr:SetRepositoryPolicy" not in actions
