"""BentoML."""

from __future__ import annotations

import os
from typing import Any

import bentoml
from nets import load


@bentoml.service(workers=int(os.environ.get("BENCH_WORKERS", "1")), traffic={"timeout": 60})
class Net:
    """The net."""

    def __init__(self) -> None:
        self.model = load()

    @bentoml.api
    def predict(self, inputs: list[Any]) -> dict[str, Any]:
        """Predict for a batch."""
        return {"predictions": self.model(inputs)}
