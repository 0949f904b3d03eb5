"""Weights are pages of their file, shared by the workers, and nevertheless the model's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clouddeploy.runtime.loaders import safetensors_file

torch = pytest.importorskip("torch")


def write(path: Path, *, padding: int) -> dict[str, np.ndarray]:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([7], np.uint8),
        "c": np.arange(4, dtype=np.float64),
        "none": np.zeros((0, 3), np.float32),
    }
    kinds = {"float32": "F32", "uint8": "U8", "float64": "F64"}
    head, body = {}, b""
    for name, array in arrays.items():
        begin = len(body)
        body += array.tobytes()
        head[name] = {
            "dtype": kinds[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, len(body)],
        }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8 + padding)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return arrays


@pytest.mark.parametrize("padding", [0, 1, 3])
def test_tensors_are_read_wherever_they_lie(tmp_path: Path, padding: int) -> None:
    arrays = write(tmp_path / "w.safetensors", padding=padding)
    found = safetensors_file.read(tmp_path / "w.safetensors")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].numpy().dtype == array.dtype
        np.testing.assert_array_equal(found[name].numpy(), array)


def test_a_model_that_changes_its_weights_changes_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write(path, padding=0)
    before = path.read_bytes()
    safetensors_file.read(path)["a"].add_(1)
    assert path.read_bytes() == before
    assert safetensors_file.read(path)["a"][0, 0] == 0
