"""Our table of images against the one that the SageMaker SDK ships."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.errors import SpecError
from clouddeploy.providers.sagemaker.images import ACCOUNTS, IMAGES, NEWEST, image_uri, registry_arn


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    spec = find_spec("sagemaker.core") or pytest.skip("sagemaker-core isn't installed")
    folder = Path(next(iter(spec.submodule_search_locations or ())))
    found: dict[str, Any] = json.loads((folder / "image_uri_config" / "pytorch.json").read_text())
    return found


@pytest.mark.parametrize("image", IMAGES, ids=lambda i: i.torch)
@pytest.mark.parametrize("region", sorted(ACCOUNTS))
def test_every_region_and_version_is_as_the_sdk_has_it(
    theirs: dict[str, Any], region: str, image: Any
) -> None:
    plain = theirs["inference"]["versions"][image.torch]
    arm = theirs["inference_graviton"]["versions"][image.torch]
    assert image.python in plain["py_versions"]
    assert image.python in arm["py_versions"]
    for found in (plain, arm):
        if region in found["registries"]:
            assert found["registries"][region] == ACCOUNTS[region]
    assert plain["repository"] == "pytorch-inference"
    assert arm["repository"] == image.arm_repository
    assert image.arm_suffix == f"-{arm['container_version']['cpu']}-sagemaker"
    if image is NEWEST:
        assert region in plain["registries"]
        assert region in arm["registries"]


def test_the_newest_of_the_table_is_the_newest_that_the_sdk_knows(theirs: dict[str, Any]) -> None:
    known = [tuple(map(int, v.split("."))) for v in theirs["inference"]["versions"]]
    assert max(known) == tuple(map(int, NEWEST.torch.split(".")))


@pytest.mark.parametrize(
    ("region", "processor", "architecture", "uri"),
    [
        (
            "us-east-1",
            "cpu",
            "x86_64",
            "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312",
        ),
        (
            "eu-west-1",
            "gpu",
            "x86_64",
            "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:2.6.0-gpu-py312",
        ),
        (
            "eu-west-1",
            "cpu",
            "arm64",
            "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference-arm64:2.6.0-cpu-py312-ubuntu22.04-sagemaker",
        ),
        (
            "cn-north-1",
            "cpu",
            "x86_64",
            "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-inference:2.6.0-cpu-py312",
        ),
    ],
)
def test_uris_are_those_that_the_sdk_retrieves(
    region: str, processor: str, architecture: Any, uri: str
) -> None:
    assert image_uri(region, processor=processor, architecture=architecture) == uri


def test_an_unknown_region_suggests_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'eu-west-1'"):
        image_uri("eu-wst-1", processor="cpu", architecture="x86_64")


def test_the_role_may_pull_that_repository_alone() -> None:
    uri = image_uri("eu-west-1", processor="cpu", architecture="x86_64")
    assert registry_arn(uri, "aws") == "arn:aws:ecr:eu-west-1:763104351884:repository/pytorch-inference"
    assert registry_arn("registry.example.com/team/image:1", "aws") == "*"
