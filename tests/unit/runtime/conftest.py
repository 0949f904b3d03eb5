"""A model folder as an artifact has it, without the packaging."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCALE = """
import numpy as np

def load(model_dir):
    global weights
    weights = np.load(model_dir / "weights.npy")

def predict(inputs):
    return inputs @ weights
"""

MakeArtifact = Callable[..., Path]


@pytest.fixture
def artifact(tmp_path: Path) -> MakeArtifact:
    """Make a model folder; keyword arguments go into its manifest."""

    def make(handler: str | None = None, name: str = "model", **facts: Any) -> Path:
        folder = tmp_path / name
        (folder / "code" / "app").mkdir(parents=True)
        runtime = ROOT / "clouddeploy" / "runtime"
        shutil.copytree(
            runtime, folder / "code" / "clouddeploy" / "runtime", ignore=shutil.ignore_patterns("*.pyc")
        )
        shutil.copyfile(ROOT / "handlers" / "sagemaker_inference.py", folder / "code" / "inference.py")
        manifest = {
            "version": 1,
            "model": "0" * 64,
            "format": "files",
            "handler": None,
            "weights": None,
            **facts,
        }
        if handler is not None:
            (folder / "code" / "app" / "handler.py").write_text(handler)
            manifest["handler"] = "handler.py"
        (folder / "clouddeploy.json").write_text(json.dumps(manifest))
        return folder

    return make


def signature(*inputs: tuple[str, str, list[int | None]]) -> dict[str, Any]:
    """A manifest's signature with these inputs."""
    return {"inputs": [{"name": n, "dtype": d, "shape": s} for n, d, s in inputs], "outputs": []}
