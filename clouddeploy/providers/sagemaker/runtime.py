"""What the model's process gets: the image, its environment, the requirements that the image lacks."""

from __future__ import annotations

from clouddeploy.engine.finding import Finding
from clouddeploy.model import Model
from clouddeploy.providers.sagemaker.images import NEWEST
from clouddeploy.spec import Deployment

ONNXRUNTIME = "onnxruntime>=1.20,<2"
BOUND_TO_TORCH = frozenset({"torch-export", "torchscript", "pickle"})
"""Formats that an older PyTorch than the one that wrote them may not be able to load."""


def pins(model: Model) -> tuple[str, ...]:
    """Requirements that the image lacks for this model's format."""
    if model.format == "onnx":
        return () if _requires(model, "onnxruntime") else (ONNXRUNTIME,)
    newer = newer_torch(model)
    return (f"torch=={newer}",) if newer and not _requires(model, "torch") else ()


def newer_torch(model: Model) -> str:
    """The PyTorch that wrote the model, when the image's is older and may not load it; else empty."""
    if model.format not in BOUND_TO_TORCH or not model.framework or model.framework[0] != "torch":
        return ""
    wrote = model.framework[1].partition("+")[0]
    return wrote if _numbers(wrote) > _numbers(NEWEST.torch) else ""


def finding(model: Model) -> Finding | None:
    """What a model that the image can't load as it is means for the start."""
    newer = newer_torch(model)
    if not newer:
        return None
    return Finding(
        "model",
        "approximated",
        f"the newest image of ours has PyTorch {NEWEST.torch} and the model was written by {newer}, so "
        f"torch=={newer} is installed each time a machine starts, which takes minutes",
        "save it with format='state_dict', which the image's own PyTorch loads, or name an image",
    )


def environment(deployment: Deployment) -> dict[str, str]:
    """Environment of the container; the user's own values win.

    The names are the PyTorch serving container's (SageMaker Inference Toolkit, parameters).
    """
    return {
        "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT": str(deployment.compute.timeout_s),
        **deployment.env,
    }


def server_environment(deployment: Deployment, *, single: bool) -> dict[str, str]:
    """Environment of a built image, whose server takes its settings from there; the user's own values win.

    Args:
        deployment: the wish.
        single: one worker, as is advised for serverless inference (Developer Guide, "Serverless
            Inference", container support); else the server makes one for each core.
    """
    return {
        "CLOUDDEPLOY_SERVE_TIMEOUT_MS": str(round(1000 * deployment.compute.timeout_s)),
        **({"CLOUDDEPLOY_SERVE_WORKERS": "1"} if single else {}),
        **deployment.env,
    }


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _requires(model: Model, package: str) -> bool:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return any(canonicalize_name(Requirement(line).name) == package for line in model.requirements)
