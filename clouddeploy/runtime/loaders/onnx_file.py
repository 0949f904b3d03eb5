"""ONNX models by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def load(path: Path, manifest: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The model in `path` as a function from arrays to arrays.

    Runs on the CPU unless ``CLOUDDEPLOY_ONNX_PROVIDERS`` names others (comma separated): falling
    back from a GPU in silence is what must not happen.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("CLOUDDEPLOY_THREADS") or 1)
    # Threads that spin between two predictions take the core from who sends the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    wanted = os.environ.get("CLOUDDEPLOY_ONNX_PROVIDERS", "CPUExecutionProvider").split(",")
    session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
    given = session.get_providers()
    if missing := set(wanted) - set(given):
        raise RuntimeError(f"onnxruntime has no {', '.join(sorted(missing))}; it offers {', '.join(given)}")
    inputs = session.get_inputs()
    outputs = [node.name for node in session.get_outputs()]
    free = not (manifest.get("signature") or {}).get("inputs")

    def call(batch: Any) -> Any:
        named = batch if isinstance(batch, dict) else {inputs[0].name: batch}
        if free:
            wide = {node.name: node.type for node in inputs}
            named = {name: _narrow(array, wide.get(name, "")) for name, array in named.items()}
        found = session.run(outputs, named)
        return found[0] if len(found) == 1 else dict(zip(outputs, found, strict=True))

    return call


def _narrow(array: Any, kind: str) -> Any:
    return np.asarray(array, dtype=np.float32) if kind == "tensor(float)" else array
