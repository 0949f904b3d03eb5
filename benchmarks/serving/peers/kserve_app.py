"""KServe's Python server, V1 protocol."""

from __future__ import annotations

from typing import Any

from kserve import Model, ModelServer
from nets import load


class Net(Model):
    """The net."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.model = load()
        self.ready = True

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Predict for a batch."""
        return {"predictions": self.model(payload["instances"])}


if __name__ == "__main__":
    ModelServer().start([Net("net")])
