"""A wheelhouse instead of an index, a cache of its own for each test, and small models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clouddeploy.model import Model
from clouddeploy.testing.wheelhouse import Wheelhouse

ENTRY = "def load(model_dir):\n    pass\n\n\ndef predict(inputs):\n    return inputs\n"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wheelhouse]:
    """An empty wheelhouse, the only place that uv looks at, with a cache that nothing else uses."""
    found = Wheelhouse(tmp_path / "wheelhouse")
    found.folder.mkdir()
    for name, value in found.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    return found


@pytest.fixture
def numpy_like(house: Wheelhouse) -> Wheelhouse:
    """The wheelhouse with something small that is called numpy, for every platform."""
    house.wheel("numpy", "2.0", {"numpy/__init__.py": "array = list\n"})
    return house


@pytest.fixture
def folder_model(tmp_path: Path) -> Model:
    """A model of two files whose handler needs nothing but numpy."""
    folder = tmp_path / "model-folder"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "names.json").write_text("[]")
    (folder / "handler.py").write_text(ENTRY)
    return Model.from_folder(folder, handler=folder / "handler.py", check=False)
