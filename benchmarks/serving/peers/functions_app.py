"""Google's functions-framework."""

from __future__ import annotations

from typing import Any

import functions_framework
from nets import load

model = load()


@functions_framework.http
def predict(request: Any) -> Any:
    """Predict for a batch; anything without a body is the health check."""
    asked = request.get_json(silent=True)
    return {"predictions": model(asked["inputs"])} if asked else {"status": "ok"}
