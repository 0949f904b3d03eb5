"""The entry that SageMaker's containers call: ``code/inference.py`` in the model's archive.

Works under the ``sagemaker-inference`` toolkit 1.x and the PyTorch container's TorchServe handler, which
is built on it ("Deploy models with the SageMaker PyTorch model server", ``model_fn``, ``input_fn``,
``predict_fn``, ``output_fn``). The toolkit passes its context to functions that take one argument more;
through it a bad request is answered with its own status and our JSON, never with a trace. Where no
context comes, these functions raise.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_HERE = Path(__file__).resolve().parent
if "clouddeploy" not in sys.modules and (_HERE / "clouddeploy" / "runtime").is_dir():
    # the runtime that was packed with the model, even where the image has clouddeploy installed
    _packed = ModuleType("clouddeploy")
    _packed.__path__ = [str(_HERE / "clouddeploy")]
    sys.modules["clouddeploy"] = _packed

from clouddeploy.runtime import Service, WireError  # noqa: E402
from clouddeploy.runtime.service import log_failure, prediction_failed  # noqa: E402


@dataclass(frozen=True)
class _Work:
    """What one step hands to the next: a value, or why there is none."""

    service: Service | None = None
    value: Any = None
    error: WireError | None = None


def model_fn(model_dir: str, context: Any = None) -> Service:  # noqa: ARG001  # the toolkit's signature
    """Load the model that lies in `model_dir`, with its code in ``model_dir/code``."""
    return Service.load(Path(model_dir), Path(model_dir) / "code")


def input_fn(body: bytes | str, content_type: str | None, context: Any = None) -> _Work:  # noqa: ARG001
    """Keep the body for `predict_fn`: only there the model, and so its signature, is at hand."""
    return _Work(value=(body, content_type or ""))


def predict_fn(data: _Work, model: Service, context: Any = None) -> _Work:
    """Decode the body and predict."""
    try:
        request = model.decode(*data.value)
        return _Work(service=model, value=model.predict(request))
    except WireError as error:
        return _refused(error, context)
    except (Exception, SystemExit):  # the handler is anybody's code
        log_failure(_request_id(context))
        if context is None:
            raise
        return _Work(error=prediction_failed(_request_id(context)))


def output_fn(prediction: _Work, accept: str | None, context: Any = None) -> tuple[bytes, str]:
    """The response's body and media type; an error's status goes through `context`."""
    error = prediction.error
    if error is None and prediction.service is not None:
        try:
            return prediction.service.encode(prediction.value, accept or "")
        except WireError as refused:
            error = _refused(refused, context).error
    if error is None:
        raise TypeError("output_fn takes what predict_fn returned")
    context.set_response_status(code=error.status, phrase=error.code)
    return error.body(), "application/json"


def _refused(error: WireError, context: Any) -> _Work:
    if error.status >= 500:
        log_failure(_request_id(context))
    if context is None:
        raise error
    return _Work(error=error)


def _request_id(context: Any) -> str:
    try:
        return str(context.get_request_id(0) or "")
    except (AttributeError, KeyError, IndexError, TypeError):
        return ""
