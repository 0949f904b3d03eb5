"""LitServe; with BENCH_BATCH it batches."""

from __future__ import annotations

import os
from itertools import chain
from typing import Any

import litserve
from nets import load

BATCH = int(os.environ.get("BENCH_BATCH", "1"))


class Api(litserve.LitAPI):
    """One example, or a batch of requests' examples."""

    def setup(self, device: str) -> None:
        """Load the model in LitServe's worker."""
        self.model = load()

    def decode_request(self, request):
        """The examples of one request. LitServe reads its annotation, and takes Any for a query's field."""
        return request["inputs"]

    def predict(self, inputs: Any) -> Any:
        """Predict for the examples of one request, or of several."""
        if BATCH == 1:
            return self.model(inputs)
        found = iter(self.model(list(chain.from_iterable(inputs))))
        return [[next(found) for _ in one] for one in inputs]

    def batch(self, inputs: Any) -> Any:
        """Requests side by side, as they are."""
        return inputs

    def unbatch(self, output: Any) -> Any:
        """Each request's own predictions."""
        return output

    def encode_response(self, output: Any) -> Any:
        """The answer."""
        return {"predictions": output}


if __name__ == "__main__":
    options = {"max_batch_size": BATCH, "batch_timeout": 0.001} if BATCH > 1 else {}
    server = litserve.LitServer(
        Api(**options), accelerator="cpu", workers_per_device=int(os.environ["BENCH_WORKERS"])
    )
    server.run(
        host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), generate_client_file=False, log_level="warning"
    )
