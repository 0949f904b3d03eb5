"""Functions from container images: which image a URI names, and how one of its processes is started.

"Create a Lambda function using a container image" and "Configuring Lambda functions: container image
settings" (Lambda Developer Guide). The image's files are unpacked into a folder, and this machine's own
Python runs what lies in its task root: no system of the image's is started.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends.functions import Function
from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.functions.base_image import PYTHON, architecture
from clouddeploy.emulator.functions.code import Hindrance, Prepared, environment, packed_for, protect
from clouddeploy.emulator.functions.names import invalid
from clouddeploy.emulator.registry import Store, StoredImage, ecr, unpack
from clouddeploy.emulator.registry.images import LABEL_PYTHON
from clouddeploy.emulator.registry.unpacking import LayerUnusable

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

ENTRY_SCRIPT = "/lambda-entrypoint.sh"
"""Of AWS's base images: takes the handler as its one argument, and ends with 142 without one."""
TASK_ROOT, OPT = "/var/task", "opt/python"
PYTHONS = ("var/lang/lib", "usr/local/lib")
"""Where AWS's and Docker's base images have their Python's library."""
OURS = frozenset({"PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "TZ", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"})
"""Variables of an image that mean its own system, which doesn't run here."""


def source(cloud: Cloud, region: str, uri: str) -> dict[str, str]:
    """What a function keeps of the image that `uri` names now: URI, that with digest, repository, digest.

    Raises:
        Refused: there is no such image, or it is none that Lambda takes.
    """
    place = ecr.locate(cloud, region, uri)
    if place is None:
        raise invalid(f"Source image {uri} is not valid. Provide a valid source image.")
    path, wanted = place
    found = cloud.registry.repository(path).find(wanted)
    if found is None:
        raise invalid(f"Source image {uri} does not exist. Provide a valid source image.")
    if found.is_index or not _is_gzipped(cloud.registry.image(path, found.digest)):
        raise invalid(
            f"The image manifest, config or layer media type for the source image {uri} is not supported."
        )
    return {
        "uri": uri,
        "resolved": ecr.resolved(uri, found.digest),
        "repository": path,
        "digest": found.digest,
    }


def _is_gzipped(image: StoredImage | None) -> bool:
    known = ("tar", "tar+gzip", "tar.gzip")
    return image is not None and all(layer.media_type.endswith(known) for layer in image.layers)


def prepare(store: Store, function: Function, folder: Path) -> Prepared:
    """Unpack the function's image into `folder`.

    Raises:
        Refused: the image was deleted from its repository.
    """
    kept: Mapping[str, str] = function.extras["Image"]
    image = store.image(kept["repository"], kept["digest"])
    if image is None:
        raise Refused(
            f"The function's image {kept['resolved']} was deleted (ImageDeleted)",
            code="ResourceConflictException",
            status=409,
        )
    root = folder / "root"
    try:
        unpack(image, root)
    except LayerUnusable as error:
        raise Refused(f"The image can't be unpacked: {error}", code="InvalidImage", status=502) from error
    start = _start(image, function.raw.image_config, root)
    task_root = _within(root, image.env.get("LAMBDA_TASK_ROOT", TASK_ROOT))
    task_root.mkdir(parents=True, exist_ok=True)
    wanted = packed_for(task_root) or _python_of(image, root) or PYTHON
    made, notes = environment(wanted, function.architecture, task_root)
    protect(root)
    hindrance = start.hindrance
    if image.architecture != function.architecture:
        hindrance = _cannot(start.command, "exec format error")
    first = [task_root, root / OPT] if start.is_script else [start.folder]
    libraries = [root / where / f"python{wanted}" / "site-packages" for where in PYTHONS]
    own = [where for where in libraries if wanted == PYTHON and image.architecture == architecture()]
    return Prepared(
        task_root,
        tuple(map(str, [*first, *(where for where in own if where.is_dir())])),
        made,
        (_told(image), *notes),
        handler=start.handler,
        folder=start.folder,
        read_only=root,
        variables=_variables(image, root),
        hindrance=hindrance,
    )


def _told(image: StoredImage) -> str:
    base = "its base image is a stand-in" if image.is_stand_in else "the image's own system isn't started"
    return f"clouddeploy: {base}: this machine's Python {PYTHON} on {architecture()} runs its code"


def _python_of(image: StoredImage, root: Path) -> str:
    """The Python that the image has, as far as it tells."""
    for where in PYTHONS:
        found = sorted((root / where).glob("python3.*"))
        if found:
            return found[0].name.removeprefix("python")
    return image.labels.get(LABEL_PYTHON, "")


def _variables(image: StoredImage, root: Path) -> dict[str, str]:
    """The image's environment; values that are paths in it are given as where they are here."""
    given = {k: v for k, v in image.env.items() if k not in OURS}
    inside = {k: root / v.lstrip("/") for k, v in given.items() if re.fullmatch(r"/[^:]+", v)}
    return {**given, **{k: str(path) for k, path in inside.items() if path.exists()}}


@dataclass(frozen=True)
class _Start:
    """How the image says that it is to be started."""

    command: str
    handler: str
    folder: Path
    is_script: bool
    hindrance: Hindrance | None


def _start(image: StoredImage, settings: Any, root: Path) -> _Start:
    """Entry point, command and working folder: the function's own settings win over the image's."""
    entrypoint = tuple(settings.entry_point or image.entrypoint)
    command = (*entrypoint, *(settings.cmd or image.cmd))
    working = str(settings.working_directory or image.workdir)
    folder = _within(root, working)
    if working in (TASK_ROOT, "/"):
        folder.mkdir(parents=True, exist_ok=True)
    program, arguments = (command[0], command[1:]) if command else ("", ())
    is_script = program == ENTRY_SCRIPT
    is_client = posixpath.basename(program).startswith("python") and arguments[:2] == ("-m", "awslambdaric")
    rest = arguments if is_script else arguments[2:]
    hindrance: Hindrance | None = None
    if not folder.is_dir():
        words = f"chdir {working}: no such file or directory"
        hindrance = Hindrance("Runtime.InvalidWorkingDir", words)
    elif not (is_script or is_client):
        there = _within(root, program).is_file()
        told = (
            f"clouddeploy: {program} is in the image, yet the embedded cloud starts Python handlers alone",
        )
        hindrance = _cannot(program, "no such file or directory", told if there else ())
    elif is_script and len(rest) != 1:
        lines = ("entrypoint requires the handler name to be the first argument",)
        hindrance = Hindrance("Runtime.ExitError", "Runtime exited with error: exit status 142", lines)
    elif not rest:
        hindrance = Hindrance(
            "Runtime.ExitError",
            "Runtime exited with error: exit status 1",
            ("ValueError: Handler not set",),
        )
    return _Start(program, rest[0] if rest else "", folder, is_script, hindrance)


def _cannot(program: str, why: str, lines: tuple[str, ...] = ()) -> Hindrance:
    return Hindrance("Runtime.InvalidEntrypoint", f"fork/exec {program}: {why}", lines)


def _within(root: Path, path: str) -> Path:
    """A path in the image as one of this machine's."""
    return root / posixpath.normpath(f"/{path}").lstrip("/")
