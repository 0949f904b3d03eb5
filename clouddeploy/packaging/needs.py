"""What a function needs besides the model's own requirements, and what it can't have."""

from __future__ import annotations

from collections.abc import Iterable

from clouddeploy.errors import ModelError
from clouddeploy.model import File, Model
from clouddeploy.model.code import importing

NUMPY = "numpy"
"""The runtime's own."""
TOO_LARGE = "PyTorch for the CPU has about 670 MB unpacked; Lambda takes 250"
IMAGE = 'deploy an image: Deployer("lambda", image=…)'


def served_form(model: Model) -> Model:
    """`model` as a function without torch can serve it: a torch model as ONNX, any other as it is.

    Raises:
        ModelError: it needs torch by its format, its requirements or its handler, or can't be exported.
    """
    from clouddeploy.model.onnx_export import is_convertible, without_torch

    convertible = is_convertible(model)
    refuse_torch(without_torch(model.requirements) if convertible else model.requirements, "the requirements")
    if model.handler:
        _refuse_importing(model.handler, model.code)
    if convertible:
        return model.to("onnx")
    if model.format in ("torch-state-dict", "torch-export", "torchscript", "pickle"):
        raise ModelError(
            f"the model's file {model.weights!r} can be read by torch alone, which doesn't fit a Lambda zip",
            why="the class that its weights belong to is not known, so it can't be exported to ONNX",
            fix=f"name the class with source='net.py:Net', save the weights as .onnx or .npz, or {IMAGE}",
        )
    return model


def needs(model: Model) -> tuple[str, ...]:
    """The requirements of `model` and of what serves it."""
    from clouddeploy.model.onnx_export import ONNXRUNTIME

    more = [NUMPY, ONNXRUNTIME] if model.format == "onnx" else [NUMPY]
    known = set(map(name_of, model.requirements))
    return (*model.requirements, *(line for line in more if name_of(line) not in known))


def _refuse_importing(handler: str, code: Iterable[File]) -> None:
    for name in sorted(importing("torch", handler, code)):
        raise ModelError(
            f"{name} imports torch, which doesn't fit a Lambda zip",
            why=TOO_LARGE,
            fix=f"write the handler with numpy, as load_model takes and returns arrays; or {IMAGE}",
        )


def refuse_torch(requirements: Iterable[str], whose: str) -> None:
    """Refuse what can't fit.

    Raises:
        ModelError: torch is among `requirements`.
    """
    for line in requirements:
        if name_of(line) == "torch":
            raise ModelError(
                f"{whose} hold {line!r}, which doesn't fit a Lambda zip",
                why=TOO_LARGE,
                fix=f'serve the model as ONNX (Model.to("onnx")) from code without torch, or {IMAGE}',
            )


def name_of(requirement: str) -> str:
    """The package that a requirement or a pin names, in one spelling."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return canonicalize_name(Requirement(requirement).name)
