"""PyTorch in an image: when a model needs it, in which version, and what comes along with it.

uv takes it from the index that the user's own settings name. The usual index's wheels for x86_64 bring
CUDA's libraries; uv's variable ``UV_TORCH_BACKEND=cpu`` asks for the ones without (uv documentation,
"Using uv with PyTorch").
"""

from __future__ import annotations

from collections.abc import Iterable

from clouddeploy.model import Model
from clouddeploy.model.code import importing
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.needs import name_of
from clouddeploy.packaging.parts import mebibytes

TORCH = "torch"
FORMATS = frozenset({"torch-export", "torch-state-dict", "torchscript", "pickle"})
BOUND = frozenset({"torch-export", "torchscript", "pickle"})
"""Formats that another version of PyTorch than the one that wrote them may not be able to load."""
CUDA = ("nvidia-", "triton")
"""What the names of packages begin with that only a GPU has a use for."""


def needs_torch(model: Model) -> bool:
    """Whether serving `model` as it is takes torch: by its format, its class or its handler."""
    by_class = model.format == "safetensors" and model.source is not None
    by_handler = bool(model.handler and importing(TORCH, model.handler, model.code))
    return model.format in FORMATS or by_class or by_handler


def torch_needs(model: Model) -> tuple[str, ...]:
    """The requirement of torch that `model` leaves to its target; none where it has or needs none.

    Models of SageMaker's kind don't name it, as the containers there have it.
    """
    if not needs_torch(model) or TORCH in map(name_of, model.requirements):
        return ()
    name, version = model.framework or ("", "")
    if name != TORCH or not version:
        return (TORCH,)
    release = version.partition("+")[0]
    return (f"{TORCH}=={release}",) if model.format in BOUND else (f"{TORCH}>={release}",)


def cuda_warning(lock: Iterable[str], members: Iterable[Member]) -> list[str]:
    """What to tell of packages that use a GPU, which Lambda has none of."""
    found = [pin.partition("=")[0] for pin in lock if pin.startswith(CUDA)]
    if not found:
        return []
    size = sum(m.size for m in members if m.name.startswith(("nvidia/", "triton/")))
    return [
        f"the requirements bring {len(found)} packages for GPUs, {mebibytes(size)}, and Lambda has none: "
        "set UV_TORCH_BACKEND=cpu for PyTorch's wheels without them"
    ]
