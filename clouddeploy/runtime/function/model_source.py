"""Where the model's folder is: in the package, on a mounted file system, or in S3."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clouddeploy.runtime import manifest
from clouddeploy.runtime.errors import LoadError

MODEL_DIR = "CLOUDDEPLOY_MODEL_DIR"
MODEL_URI = "CLOUDDEPLOY_MODEL_URI"
MODEL_SHA256 = "CLOUDDEPLOY_MODEL_SHA256"
CACHE_DIR = "CLOUDDEPLOY_CACHE_DIR"


def find(root: Path, environ: Mapping[str, str]) -> Path:
    """The folder with the model's ``clouddeploy.json``.

    Args:
        root: folder of the package.
        environ: at most one of `MODEL_DIR` (a folder, such as a mounted file system's) and `MODEL_URI`
            (``s3://bucket/prefix``, or the ``….tar.gz`` of a model folder, with `MODEL_SHA256`: see
            `s3_model`); neither means ``model`` in the package.

    Raises:
        LoadError: it isn't there, or isn't what its checksum says.
    """
    mounted, uri = environ.get(MODEL_DIR), environ.get(MODEL_URI)
    if mounted and uri:
        raise LoadError(f"both {MODEL_DIR} and {MODEL_URI} are set: keep one of them")
    if uri:
        from clouddeploy.runtime.function import s3_model  # what only it needs costs cold starts time

        return s3_model.fetch(uri, environ.get(MODEL_SHA256, ""), Path(environ.get(CACHE_DIR) or "/tmp"))
    folder = Path(mounted) if mounted else root / "model"
    if not (folder / manifest.NAME).is_file():
        why = f"{MODEL_DIR} is {mounted!r}: is the file system mounted there" if mounted else "is it packed"
        raise LoadError(f"there is no model in {folder}: {manifest.NAME} is missing; {why}?")
    return folder


def code_dir(root: Path, model_dir: Path) -> Path:
    """Where the user's ``app`` lies: in the package, else beside a model that brought its own."""
    own = model_dir / "code"
    return own if (own / "app").is_dir() and not (root / "app").is_dir() else root
