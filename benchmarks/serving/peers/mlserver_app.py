"""A runtime for MLServer, which speaks the Open Inference Protocol V2."""

from __future__ import annotations

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from nets import load


class Net(MLModel):
    """The net."""

    async def load(self) -> bool:
        """Load the model."""
        self.model = load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Predict for a batch."""
        found = np.asarray(self.model(NumpyCodec.decode_input(payload.inputs[0]).tolist()), dtype=np.float32)
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output(name="output_0", payload=found)]
        )
