"""Models of every kind of signature, for one server that serves them all."""

from __future__ import annotations

from pathlib import Path

from tests.unit.server_protocols.conftest import Row, model_folder

SAME = "def predict(x):\n    return x\n"
SHOUT = "def predict(x):\n    return [str(one).upper() for one in x]\n"
BOTH = """\
def predict(inputs):
    sums = inputs["counts"].sum(axis=-1).astype("float32")
    return {"length": [len(text) for text in inputs["text"]], "sum": sums}
"""
STEPS = """\
def predict(x):
    for step in range(3):
        yield x + step
"""
PICKY = """\
def predict(x):
    if (x == 13).any():
        raise ValueError("thirteen")
    return x / 2
"""
MODELS: dict[str, tuple[str, list[Row], list[Row]]] = {
    "floats": (SAME, [("x", "float32", (None, 2))], [("y", "float32", (None, 2))]),
    "scalars": (SAME, [("x", "float64", (None,))], [("y", "float64", (None,))]),
    "ints": (SAME, [("x", "int64", (None, None, 3))], [("y", "int64", (None, None, 3))]),
    "bytes": (SAME, [("x", "uint8", (None, 4))], [("y", "uint8", (None, 4))]),
    "flags": (SAME, [("x", "bool", (None, None))], [("y", "bool", (None, None))]),
    "halves": (SAME, [("x", "float16", (None, 2, 2))], [("y", "float16", (None, 2, 2))]),
    "texts": (SHOUT, [("x", "str", (None,))], [("y", "str", (None,))]),
    "both": (
        BOTH,
        [("text", "str", (None,)), ("counts", "int8", (None, None))],
        [("length", "int64", (None,)), ("sum", "float32", (None,))],
    ),
    "steps": (STEPS, [("x", "float32", (None, 2))], [("y", "float32", (None, 2))]),
    "any": (SAME, [], []),
    "picky": (PICKY, [("x", "float32", (None, 1))], [("y", "float32", (None, 1))]),
}
"""Handler, inputs and outputs by name."""


def write_models(root: Path) -> Path:
    """The models as ``<name>/1/`` in `root`."""
    for name, (handler, inputs, outputs) in MODELS.items():
        model_folder(root / name / "1", handler, inputs, outputs)
    return root
