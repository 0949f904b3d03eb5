"""The models that are served: the same weights for every server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.serving.peers.nets import NETS, SHAPES, make

if TYPE_CHECKING:
    from clouddeploy.model import Model

CANDIDATES = 100
"""Examples of one request to the recommender-sized model."""


@dataclass(frozen=True)
class Workload:
    """A model and the request that is sent to it.

    Args:
        name: ``mlp``, ``resnet`` or ``recommender``.
        examples: in one request.
        connections: that send requests.
    """

    name: str
    examples: int
    connections: int

    @property
    def inputs(self) -> list[Any]:
        """Examples as nested lists, always the same."""
        import torch

        drawn = torch.rand(self.examples, *SHAPES[self.name], generator=torch.Generator().manual_seed(7))
        found: list[Any] = drawn.mul(1e4).round().div(1e4).tolist()
        return found


WORKLOADS = {
    "mlp": Workload("mlp", 1, 32),
    "resnet": Workload("resnet", 1, 8),
    "recommender": Workload("recommender", CANDIDATES, 4),
}


def write_weights(folder: Path) -> Path:
    """Weights of every net as ``<name>.pt``, for the peers."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    for name in NETS:
        torch.save(make(name).state_dict(), folder / f"{name}.pt")
    return folder


def ours(name: str, form: str, folder: Path) -> Path:
    """The net as a folder that `clouddeploy.server` serves.

    Args:
        name: of the net.
        form: ``torch`` or ``onnx``.
        folder: to write to.
    """
    import torch

    from clouddeploy.model import Model

    example = torch.rand(2, *SHAPES[name], generator=torch.Generator().manual_seed(1))
    model: Model = Model.from_torch(make(name), example_input=example, check=False)
    if form == "onnx":
        model = model.to("onnx")
    return write_folder(model, folder)


def write_folder(model: Model, folder: Path) -> Path:
    """Any model as a folder that the server serves."""
    from clouddeploy.packaging.sagemaker import sagemaker_artifact

    if not (folder / "clouddeploy.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        sagemaker_artifact(model, compression="none").write(folder)
    return folder


def body(workload: Workload) -> bytes:
    """The request of the wire contract."""
    return json.dumps({"inputs": workload.inputs}, separators=(",", ":")).encode()
