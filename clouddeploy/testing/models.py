"""Small real models for tests: numpy only, so that a process that serves one starts at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clouddeploy.model import Model

HANDLER = '''"""Multiplies by the weights that lie beside the model."""

from pathlib import Path

import numpy as np


class Handler:
    def load(self, model_dir):
        self.weights = np.load(Path(model_dir) / "weights.npy", allow_pickle=False)

    def predict(self, inputs):
        return np.asarray(inputs, dtype=np.float32) @ self.weights
'''


def linear_model(folder: Path, factor: float = 1.0) -> Model:
    """A model that maps batches of 4 numbers to 3, `factor` times a fixed matrix.

    Args:
        folder: an existing folder to write its files to; one for each model.
        factor: tells versions apart by their predictions.
    """
    import numpy as np

    from clouddeploy.model import Model

    weights = folder / f"weights-{factor:g}"
    weights.mkdir(parents=True, exist_ok=True)
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3) / np.float32(7)
    np.save(weights / "weights.npy", matrix * np.float32(factor))
    handler = folder / "handler.py"
    handler.write_text(HANDLER)
    return Model.from_folder(weights, handler=handler)


def broken_model(folder: Path, where: str) -> Model:
    """A model whose handler raises at ``"import"``, ``"load"`` or ``"predict"``; made unchecked."""
    from clouddeploy.model import Model

    line = "raise RuntimeError('this handler is broken on purpose')"
    parts = {"import": line, "load": "pass", "predict": "pass"} | {where: line}
    folder.mkdir(parents=True, exist_ok=True)
    handler = folder / "handler.py"
    handler.write_text(
        f"{parts['import'] if where == 'import' else ''}\n\n"
        f"def load(model_dir):\n    {parts['load']}\n\n\ndef predict(inputs):\n    {parts['predict']}\n"
    )
    weights = folder / "weights"
    weights.mkdir(exist_ok=True)
    (weights / "data.json").write_text("{}")
    return Model.from_folder(weights, handler=handler, check=False)
