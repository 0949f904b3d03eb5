"""Models deployed as images on the embedded cloud: pushed to its registry, run by AWS's own client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.errors import CloudDeployError, DeployFailed, ModelError
from clouddeploy.model import Model
from clouddeploy.testing.faults import Faulty, Transport
from clouddeploy.testing.image_rig import ImageRig, lambda_images
from clouddeploy.testing.models import broken_model, linear_model
from clouddeploy.testing.wheelhouse import Wheelhouse

BATCH = np.ones((2, 4), dtype=np.float32)
TORCH = '''"""A handler that torch itself runs."""

import torch


class Handler:
    def load(self, model_dir):
        self.factor = torch.tensor(3.0)

    def predict(self, inputs):
        return (torch.as_tensor(inputs) * self.factor).numpy()
'''


@pytest.fixture(scope="module")
def rig() -> Iterator[ImageRig]:
    with lambda_images() as rig:
        yield rig


@pytest.fixture
def empty(rig: ImageRig) -> Iterator[dict[str, str]]:
    """What the cloud holds without the deployment ``digits``."""
    before = rig.inventory()
    yield before
    rig.deployer().delete("digits")
    assert rig.inventory() == before


def sends(rig: ImageRig, model: Model, **options: Any) -> list[str]:
    """Deploy; the requests that sent something to the registry."""
    kept: list[Faulty] = []

    def recording(inner: Transport) -> Transport:
        kept.append(Faulty(inner))
        return kept[-1]

    rig.deployer(recording).deploy(model, "digits", **{**rig.wish, **options})
    return [operation for service, operation in kept[0].calls if service == "registry" and "PUT" in operation]


def predicts(rig: ImageRig) -> Any:
    """What runs, asked."""
    return rig.deployer().endpoint("digits").predict(BATCH)


def test_an_image_goes_the_whole_way(rig: ImageRig, empty: dict[str, str], tmp_path: Path) -> None:
    old, new = linear_model(tmp_path, 1.0), linear_model(tmp_path, 2.0)
    first = sends(rig, old)
    expected = predicts(rig)
    assert np.allclose(expected, old.load()(BATCH))
    assert len(first) == 5  # requirements, model, code, configuration, manifest
    assert sends(rig, old) == []
    again = sends(rig, new)
    assert again == ["PUT blobs/uploads", "PUT blobs/uploads", "PUT manifests"]
    assert np.array_equal(predicts(rig), 2 * expected)
    rig.deployer().endpoint("digits").rollback()
    assert np.array_equal(predicts(rig), expected)
    log = list(rig.deployer().endpoint("digits").logs())
    assert any("its base image is a stand-in" in line for line in log)


def test_bodies_of_zip_and_image_are_the_same_bytes(
    rig: ImageRig, empty: dict[str, str], tmp_path: Path
) -> None:
    model = linear_model(tmp_path, 1.0)
    rig.deployer().deploy(model, "digits", **rig.wish)
    options = {**rig.options(), "package": "zip"}
    Deployer("lambda", **options).deploy(model, "digits-zip", **rig.wish)
    ask = {"content_type": "application/json", "accept": "application/json"}
    replies = [
        rig.deployer().provider.invoke(name, b'{"inputs": [[1, 2, 3, 4]]}', **ask)
        for name in ("digits", "digits-zip")
    ]
    rig.deployer().delete("digits-zip")
    assert replies[0].body == replies[1].body


def test_a_broken_handler_never_serves_and_leaves_nothing(
    rig: ImageRig, empty: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(DeployFailed) as caught:
        rig.deployer().deploy(broken_model(tmp_path / "bad", "load"), "digits", **rig.wish)
    assert "broken on purpose" in f"{caught.value} {caught.value.why} {caught.value.log_tail}"
    assert rig.inventory() == empty


def test_a_broken_update_keeps_what_serves(rig: ImageRig, empty: dict[str, str], tmp_path: Path) -> None:
    good = linear_model(tmp_path, 1.0)
    rig.deployer().deploy(good, "digits", **rig.wish)
    before = rig.inventory()
    with pytest.raises(CloudDeployError):
        rig.deployer().deploy(broken_model(tmp_path / "bad", "load"), "digits", **rig.wish)
    assert np.allclose(predicts(rig), good.load()(BATCH))
    left = {k: v for k, v in rig.inventory().items() if before.get(k) != v}
    assert left == {}


def test_an_image_for_another_python_is_packed_for_it_and_runs_here_loudly(
    rig: ImageRig, empty: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = Wheelhouse(tmp_path / "wheels")
    machine = "aarch64" if rig.wish["compute"].architecture == "arm64" else "x86_64"
    house.repack("numpy", tag=f"cp313-cp313-manylinux_2_17_{machine}")
    for name, value in house.env().items():
        monkeypatch.setenv(name, value)
    deployer = Deployer("lambda", **{**rig.options(), "runtime": "python3.13"})
    model = linear_model(tmp_path, 1.0)
    deployer.deploy(model, "digits", **rig.wish)
    assert np.allclose(predicts(rig), model.load()(BATCH))
    log = list(rig.deployer().endpoint("digits").logs())
    assert any("THIS IS NOT Python 3.13" in line for line in log)


def test_a_handler_with_torch_fits_an_image_and_not_a_zip(
    rig: ImageRig, empty: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    house = Wheelhouse(tmp_path / "wheels")
    machine = "aarch64" if rig.wish["compute"].architecture == "arm64" else "x86_64"
    house.repack("numpy", tag=f"cp313-cp313-manylinux_2_17_{machine}")
    house.wheel("torch", "2.9.9", {"torch/__init__.py": "raise ImportError('a stand-in')\n"})
    for name, value in house.env().items():
        monkeypatch.setenv(name, value)
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "data.json").write_text("{}")
    (tmp_path / "handler.py").write_text(TORCH)
    model = Model.from_folder(weights, handler=tmp_path / "handler.py", requirements=["torch"], check=False)
    # For another Python than this one, the embedded cloud takes this machine's torch.
    options = {**rig.options(), "runtime": "python3.13"}
    with pytest.raises(ModelError) as caught:
        Deployer("lambda", **{**options, "package": "zip"}).plan(model, "digits", **rig.wish)
    assert 'package="image"' in caught.value.fix
    compute = {"compute": type(rig.wish["compute"])(memory_mb=3000, architecture="arm64", timeout_s=60)}
    if rig.wish["compute"].architecture == "x86_64":
        compute = {"compute": type(rig.wish["compute"])(memory_mb=3000, timeout_s=60)}
    Deployer("lambda", **options).deploy(model, "digits", **compute)
    assert np.array_equal(predicts(rig), 3 * BATCH)


def test_options_for_the_embedded_cloud_bring_the_stand_in_bases(
    rig: ImageRig, empty: dict[str, str], tmp_path: Path
) -> None:
    from clouddeploy.providers.aws_lambda import Lambda

    options = Lambda.embedded(rig.cloud.connection, "eu-west-1")
    deployer = Deployer("lambda", **options, package="image", runtime=rig.extra["runtime"], poll_s=0.0)
    model = linear_model(tmp_path, 1.0)
    deployer.deploy(model, "digits", **rig.wish)
    assert np.allclose(deployer.endpoint("digits").predict(BATCH), model.load()(BATCH))


def test_a_base_image_of_ones_own_is_taken_from_its_own_registry(
    rig: ImageRig, empty: dict[str, str], tmp_path: Path
) -> None:
    host = rig.cloud.url.partition("://")[2]
    python = rig.extra["runtime"].removeprefix("python")
    deployer = Deployer("lambda", **{**rig.options(), "base_image": f"{host}/lambda/python:{python}"})
    model = linear_model(tmp_path, 1.0)
    deployer.deploy(model, "digits", **rig.wish)
    assert np.allclose(predicts(rig), model.load()(BATCH))
