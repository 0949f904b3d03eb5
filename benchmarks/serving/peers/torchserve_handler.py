"""A handler for TorchServe; it is given the requests that its front end batched."""

from __future__ import annotations

import os
import sys
from itertools import chain
from typing import Any

sys.path.insert(0, os.environ["BENCH_PEERS"])


class Handler:
    """The net."""

    def __init__(self) -> None:
        self.model: Any = None

    def initialize(self, context: Any) -> None:
        """Load the model."""
        from nets import load

        self.model = load()

    def handle(self, data: list[Any], context: Any) -> list[Any]:
        """Predict for several requests."""
        asked = [row.get("body", row)["inputs"] for row in data]
        found = iter(self.model(list(chain.from_iterable(asked))))
        return [{"predictions": [next(found) for _ in one]} for one in asked]
