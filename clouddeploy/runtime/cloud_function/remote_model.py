"""Weights that lie in Cloud Storage: downloaded at start, one generation of them, and verified.

The package tells what they are, in `DESCRIPTION`: names, sizes and sha256 of the files, and whether the
object is such a file or a ``.tar.gz`` of several. `MODEL` tells where they are.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from clouddeploy.runtime.cloud_function.storage import Object, Storage, StorageError
from clouddeploy.runtime.errors import LoadError
from clouddeploy.runtime.function import model_cache, model_source

DESCRIPTION = "clouddeploy-model.json"
MODEL = "CLOUDDEPLOY_MODEL"
VERSION = 1
_URI = re.compile(r"gs://([a-z0-9][-_.a-z0-9]{1,220})/([^#]+)#(\d{1,20})")
_CHUNK = 2**20


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class _Remote:
    """What is to be downloaded: the files' names, sizes and checksums, in a ``.tar.gz`` or as one."""

    files: tuple[_File, ...]
    packed: bool

    @property
    def key(self) -> str:
        """Names the content."""
        return hashlib.sha256(repr(self.files).encode()).hexdigest()


def find(root: Path, environ: Mapping[str, str], storage: Storage) -> Path:
    """The folder with the model's ``clouddeploy.json`` and weights.

    Args:
        root: folder of the package.
        environ: with ``CLOUDDEPLOY_MODEL=gs://bucket/object#generation`` where the package has no weights;
            else as for `model_source.find`.
        storage: where to download from.

    Raises:
        LoadError: it can't be had, or is something else than the package says.
    """
    description = root / DESCRIPTION
    if not description.is_file() or environ.get(model_source.MODEL_DIR):
        return model_source.find(root, environ)
    remote = _parse(description)
    where = _object(environ.get(MODEL, ""))
    model = root / "model"
    cache = Path(environ.get(model_source.CACHE_DIR) or tempfile.gettempdir())

    def fill(folder: Path) -> None:
        shutil.copytree(model, folder, dirs_exist_ok=True)
        try:
            storage.read(where, lambda stream: _save(stream, remote, folder))
        except StorageError as error:
            raise LoadError(f"the model can't be downloaded: {error}; {_mend(error)}") from error
        for file in remote.files:
            _verify(folder / file.name, file, where)

    return model_cache.kept(cache, f"{_release_key(model)[:16]}-{remote.key[:48]}", fill)


def _parse(description: Path) -> _Remote:
    try:
        found: dict[str, Any] = json.loads(description.read_text(encoding="utf-8"))
        files = tuple(_File(row["name"], row["size"], row["sha256"]) for row in found["files"])
        version, form = found["version"], found["form"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise LoadError(f"{description} can't be read: {type(error).__name__}: {error}") from error
    if version > VERSION or form not in ("file", "tar.gz") or not files:
        raise LoadError(f"{description} is of version {version} and form {form!r}, which this runtime can't")
    return _Remote(files, form == "tar.gz")


def _object(uri: str) -> Object:
    found = _URI.fullmatch(uri)
    if not found:
        raise LoadError(
            f"the environment variable {MODEL} is {uri!r}; the weights are not in the package, so it must "
            "say where they are, as gs://bucket/object#generation"
        )
    return Object(found[1], found[2], found[3])


def _release_key(model: Path) -> str:
    """Names what of the model is in the package: its small files and its manifest, which may differ."""
    digest = hashlib.sha256()
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        digest.update(path.relative_to(model).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _save(stream: IO[bytes], remote: _Remote, folder: Path) -> None:
    if remote.packed:
        _unpack(stream, remote, folder)
        return
    target = folder / remote.files[0].name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(stream, file, _CHUNK)


def _unpack(stream: IO[bytes], remote: _Remote, folder: Path) -> None:
    """Unpack, and keep what the package names: of anything else there is no checksum."""
    apart = Path(tempfile.mkdtemp(prefix="unpacked-", dir=folder.parent))
    try:
        model_cache.unpack(stream, apart)
        for file in remote.files:
            if (apart / file.name).is_file():
                (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
                (apart / file.name).replace(folder / file.name)
    finally:
        shutil.rmtree(apart, ignore_errors=True)


def _verify(path: Path, expected: _File, where: Object) -> None:
    if not path.is_file():
        raise LoadError(f"{where} doesn't hold {expected.name!r}, which the package names")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.sha256:
        raise LoadError(
            f"{where} is not the model of this package: {expected.name!r} has {path.stat().st_size} bytes "
            f"and sha256 {found}; {expected.size} bytes and {expected.sha256} are expected"
        )


def _mend(error: StorageError) -> str:
    if error.status in (401, 403):
        return "the function's service account needs roles/storage.objectViewer on the bucket"
    if error.status == 404:
        return "that object or that generation of it is gone: deploy again"
    return "see whether Cloud Storage and the metadata server can be reached"
