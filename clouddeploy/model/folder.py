"""Models that are a folder of files and a handler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clouddeploy.errors import ModelError
from clouddeploy.model.code import collect
from clouddeploy.model.example import signature_of
from clouddeploy.model.files import files_in, walk
from clouddeploy.model.model import Model
from clouddeploy.model.requirements import normal

RESERVED = ("code", "clouddeploy.json")


def open_folder(
    path: Path,
    *,
    handler: Path,
    requirements: Sequence[str],
    include: Sequence[str],
    example_input: Any,
    check: bool,
    timeout_s: float,
) -> Model:
    """See `Model.from_folder`."""
    if not path.is_dir():
        raise ModelError(f"the folder {str(path)!r} is not there", fix="give the path of a folder")
    entry = path / handler if (path / handler).is_file() else handler
    code = collect(entry, include)
    packed = {file.path.resolve() for file in code}
    files = files_in(path, (file for file in walk(path) if file.resolve() not in packed))
    for file in files:
        if file.name.partition("/")[0] in RESERVED:
            raise ModelError(
                f"{file.path} can't be part of the model",
                why=f"{file.name!r} is a name of the archive's own",
                fix="rename it",
            )
    model = Model(
        format="files",
        files=files,
        code=code,
        handler=entry.name,
        requirements=normal(requirements),
        signature=signature_of(example_input),
    )
    if check:
        model.handler_check(timeout_s=timeout_s)
    return model
