"""What answers the requests: images (batch, 8, 8) become probabilities (batch, 10)."""

import numpy as np

from clouddeploy.runtime import load_model


class Handler:
    """Loaded once when the model's process starts."""

    def load(self, model_dir):
        self.scores = load_model(model_dir)

    def predict(self, images):
        return self.scores(images)

    def postprocess(self, scores):
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)
