"""The entry that Cloud Functions calls: ``main.py``, beside ``clouddeploy``, ``app`` and ``model``.

`predict` answers requests over HTTP, `on_event` takes CloudEvents of Pub/Sub and Cloud Storage. The model
is loaded while this module is imported, before functions-framework listens: one that can't be loaded
doesn't become ready. What is answered stands in ``clouddeploy/runtime/cloud_function``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_HERE = Path(__file__).resolve().parent
if "clouddeploy" not in sys.modules and (_HERE / "clouddeploy" / "runtime").is_dir():
    # the runtime that was packed with the model, even where the image has clouddeploy installed
    _packed = ModuleType("clouddeploy")
    _packed.__path__ = [str(_HERE / "clouddeploy")]
    sys.modules["clouddeploy"] = _packed

from clouddeploy.runtime.cloud_function import start  # noqa: E402

_function = start(_HERE)


def predict(request: Any) -> Any:
    """The answer to a Flask request: see ``clouddeploy.runtime.cloud_function.CloudFunction``."""
    return _function(request)


def on_event(cloud_event: Any) -> None:
    """Take a CloudEvent: see ``clouddeploy.runtime.cloud_function.CloudFunction.on_event``."""
    _function.on_event(cloud_event)
