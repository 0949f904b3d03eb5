"""A handler and networks on disk, as a user has them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

NETS = """
import torch
from layers_for_tests import act


class Net(torch.nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.linear = torch.nn.Linear(width, 3)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x):
        return act(self.dropout(self.linear(x)))


class Branching(Net):
    def forward(self, x):
        y = self.linear(x)
        return y if y.sum() > 0 else y + 1


class NeedsWidth(Branching):
    def __init__(self, width):
        super().__init__(width)


class Named(Net):
    def forward(self, a, b):
        return {"sum": self.linear(a + b), "top": self.linear(a).argmax(1)}


class Mapped(Net):
    def forward(self, batch):
        return self.linear(batch["a"]), batch["b"]


class Words(Net):
    def forward(self, tokens):
        return tokens.float().cumsum(1), tokens.sum(1)


class Random(Net):
    def forward(self, x):
        return self.linear(x) + torch.rand(1)


class Scalar(Net):
    def forward(self, x):
        return self.linear(x).mean()


class Texts(Net):
    def forward(self, x):
        return "text"
"""


@pytest.fixture
def nets(tmp_path: Path) -> Iterator[ModuleType]:
    """The networks above, imported from a folder of their own."""
    pytest.importorskip("torch").manual_seed(0)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "nets_for_tests.py").write_text(NETS)
    (folder / "layers_for_tests.py").write_text("import torch\n\n\ndef act(x):\n    return torch.relu(x)\n")
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("nets_for_tests")
    finally:
        sys.path.remove(str(folder))
        for name in ("nets_for_tests", "layers_for_tests"):
            sys.modules.pop(name, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a handler, a module that it imports, data, and what must not be packed."""
    root = tmp_path / "digits"
    root.mkdir()
    (root / "handler.py").write_text(
        "import json\nimport numpy as np\nimport scaling\n\n"
        "def load(model_dir):\n    global table\n"
        "    table = np.array(json.loads((model_dir / 'table.json').read_text()))\n\n"
        "def predict(inputs):\n    return scaling.scaled(inputs) @ table\n"
    )
    (root / "scaling.py").write_text(
        "from shapes import deep\n\ndef scaled(x):\n    return x * deep.FACTOR\n"
    )
    (root / "shapes").mkdir()
    (root / "shapes" / "__init__.py").write_text("")
    (root / "shapes" / "deep.py").write_text("FACTOR = 2\n")
    (root / "table.json").write_text("[[1.0], [2.0]]")
    (root / ".env").write_text("SECRET=1")
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "x.pyc").write_bytes(b"x")
    return root
