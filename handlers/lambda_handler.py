"""The entry that AWS Lambda calls: ``lambda_handler.handler``, beside ``clouddeploy``, ``app`` and ``model``.

The model is loaded while this module is imported, in Lambda's init phase; a failure ends init with its
reason. What events it takes, and what it answers, stands in ``clouddeploy/runtime/function``.
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

from clouddeploy.runtime.function import start  # noqa: E402

_function = start(_HERE)


def handler(event: Any, context: Any) -> Any:
    """The answer to `event`: see ``clouddeploy.runtime.function.Function``."""
    return _function(event, context)
