"""What a function needs besides the model's own requirements, and what it can't have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clouddeploy.errors import ModelError
from clouddeploy.model import File, Model
from clouddeploy.model.code import importing

NUMPY = "numpy"
"""The runtime's own."""


@dataclass(frozen=True)
class Place:
    """Where a model without torch is to be served, in the words of messages.

    Args:
        refusal: what is the matter with torch there, such as ``"doesn't fit a Lambda zip"``.
        why: the reason.
        otherwise: how to have torch all the same.
    """

    refusal: str
    why: str
    otherwise: str


LAMBDA_ZIP = Place(
    "doesn't fit a Lambda zip",
    "PyTorch for the CPU has about 670 MB unpacked; Lambda takes 250",
    'deploy an image: Deployer("lambda", package="image")',
)


def served_form(model: Model, place: Place = LAMBDA_ZIP) -> Model:
    """`model` as a function without torch can serve it: a torch model as ONNX, any other as it is.

    Raises:
        ModelError: it needs torch by its format, its requirements or its handler, or can't be exported.
    """
    from clouddeploy.model.onnx_export import is_convertible, without_torch

    convertible = is_convertible(model)
    needed = without_torch(model.requirements) if convertible else model.requirements
    refuse_torch(needed, "the requirements", place)
    if model.handler:
        _refuse_importing(model.handler, model.code, place)
    if convertible:
        return model.to("onnx")
    if model.format in ("torch-state-dict", "torch-export", "torchscript", "pickle"):
        raise ModelError(
            f"the model's file {model.weights!r} can be read by torch alone, which {place.refusal}",
            why="the class that its weights belong to is not known, so it can't be exported to ONNX",
            fix="name the class with source='net.py:Net', save the weights as .onnx or .npz, "
            f"or {place.otherwise}",
        )
    return model


def needs(model: Model) -> tuple[str, ...]:
    """The requirements of `model` and of what serves it."""
    from clouddeploy.model.onnx_export import ONNXRUNTIME

    more = [NUMPY, ONNXRUNTIME] if model.format == "onnx" else [NUMPY]
    known = set(map(name_of, model.requirements))
    return (*model.requirements, *(line for line in more if name_of(line) not in known))


def _refuse_importing(handler: str, code: Iterable[File], place: Place) -> None:
    for name in sorted(importing("torch", handler, code)):
        raise ModelError(
            f"{name} imports torch, which {place.refusal}",
            why=place.why,
            fix=f"write the handler with numpy, as load_model takes and returns arrays; or {place.otherwise}",
        )


def refuse_torch(requirements: Iterable[str], whose: str, place: Place = LAMBDA_ZIP) -> None:
    """Refuse what can't fit.

    Raises:
        ModelError: torch is among `requirements`.
    """
    for line in requirements:
        if name_of(line) == "torch":
            raise ModelError(
                f"{whose} hold {line!r}, which {place.refusal}",
                why=place.why,
                fix='serve the model as ONNX (Model.to("onnx")) from code without torch, '
                f"or {place.otherwise}",
            )


def name_of(requirement: str) -> str:
    """The package that a requirement or a pin names, in one spelling."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return canonicalize_name(Requirement(requirement).name)
