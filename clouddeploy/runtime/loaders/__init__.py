"""The built-in loader of each weights format: a model folder to a function from arrays to arrays."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from clouddeploy.runtime import manifest as manifest_file
from clouddeploy.runtime.errors import LoadError
from clouddeploy.runtime.source import app_modules

MODULES = {
    "torch-export": "torch_export",
    "torch-state-dict": "torch_class",
    "safetensors": "torch_class",
    "torchscript": "torch_script",
    "pickle": "torch_pickle",
    "onnx": "onnx_file",
}


def load_model(model_dir: Path | str, code_dir: Path | str | None = None) -> Callable[[Any], Any]:
    """The weights in `model_dir` as a function: an array or a dict of arrays in, the same out.

    Args:
        model_dir: folder with ``clouddeploy.json``.
        code_dir: folder with ``app/``; by default ``code`` in `model_dir`.

    Raises:
        LoadError: the format needs a handler, its framework is missing, or the file can't be loaded.
    """
    folder = Path(model_dir)
    manifest = manifest_file.read(folder)
    kind = manifest["format"]
    if kind not in MODULES:
        raise LoadError(f"models of format {kind!r} have no built-in loader: write a handler")
    loader = importlib.import_module(f"clouddeploy.runtime.loaders.{MODULES[kind]}")
    app = (Path(code_dir) if code_dir else folder / "code").absolute() / "app"
    try:
        with nullcontext() if str(app) in sys.path else app_modules(app, keep=True):
            function: Callable[[Any], Any] = loader.load(folder / manifest["weights"], manifest)
    except ImportError as error:
        raise LoadError(f"format {kind!r} needs a package that is not installed: {error}") from error
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(f"{manifest['weights']} can't be loaded: {type(error).__name__}: {error}") from error
    return function
