"""The image that Cloud Run runs: Python's slim image, with wheels, model and code in ``/app``.

::

    /app/main.py                     our entry file (handlers/cloud_function.py), byte for byte
    /app/clouddeploy/runtime/*.py    a namespace package: no clouddeploy/__init__.py
    /app/app/<the user's code>
    /app/model/clouddeploy.json      the manifest
    /app/model/<weights, at their names>
    /app/requirements.lock           what was resolved for the image's platform, one pin a line
    /app/clouddeploy-packages.json   which of the top-level names came from wheels, and for what
    /app/<the wheels' content>

Sources: Cloud Run documentation, "Container runtime contract" (listen on ``$PORT``, Linux x86_64);
functions-framework for Python, README (``FUNCTION_TARGET``, ``FUNCTION_SOURCE``, ``HOST``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from clouddeploy.errors import ModelError, SpecError
from clouddeploy.model import Model
from clouddeploy.model.code import importing
from clouddeploy.packaging import wheels
from clouddeploy.packaging.artifact import MANIFEST, Artifact, Member
from clouddeploy.packaging.cloud_functions import ENTRY, FRAMEWORK, HANDLER
from clouddeploy.packaging.forking import thread_warnings
from clouddeploy.packaging.images.base import Base
from clouddeploy.packaging.images.image import ImageArtifact
from clouddeploy.packaging.images.layer import Layer
from clouddeploy.packaging.images.pytorch import torch_needs
from clouddeploy.packaging.needs import name_of, needs
from clouddeploy.packaging.parts import canonical_json, largest, lines, members_of, users_parts
from clouddeploy.packaging.platforms import GLIBC, Platform
from clouddeploy.packaging.shipped import handler_source, runtime_files

Form = Literal["onnx", "torch"]
ROOT = "/app"
TARGET = "predict"
LOCK, PACKAGES = "requirements.lock", "clouddeploy-packages.json"
CODE = frozenset((ENTRY, "clouddeploy", "app", LOCK, PACKAGES))
LAYERS = ("requirements", "model", "code")
"""What changes seldom first: a new handler then sends some kilobytes, a new model no wheels."""
COMMAND = ("python", "-m", "functions_framework")
ENV = {
    "FUNCTION_TARGET": TARGET,
    "FUNCTION_SOURCE": f"{ROOT}/{ENTRY}",
    "FUNCTION_SIGNATURE_TYPE": "http",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class RunFiles:
    """A model packed for Cloud Run: what goes below `ROOT`.

    Args:
        platform: what it was packed for.
        model: what is in it: the model given, or its ONNX form.
        lock: its requirements for that platform, one pin a line.
        warnings: what the maker should know, such as a suspected secret (never the secret itself).
        members: the files, sorted by name.
        origin: kept alive with the files.
    """

    platform: Platform
    model: Model
    lock: tuple[str, ...]
    warnings: tuple[str, ...]
    members: tuple[Member, ...] = field(repr=False)
    origin: object = field(repr=False, compare=False, default=None)

    @property
    def largest(self) -> tuple[tuple[str, int], ...]:
        """The largest parts and their bytes, the largest first."""
        return largest(self.members)


def run_base(python: str = "3.13") -> str:
    """The name of the base image for a version of Python: Docker's official slim one.

    Raises:
        SpecError: `python` is no version.
    """
    _check_python(python)
    return f"python:{python}-slim"


def run_files(
    model: Model, *, python: str, architecture: str, form: Form = "onnx", torch_index: str | None = None
) -> RunFiles:
    """`model` with its requirements as the image holds it.

    Args:
        model: what to pack.
        python: of the base image, such as ``"3.13"``.
        architecture: ``"x86_64"`` or ``"arm64"``; Cloud Run itself runs x86_64 only.
        form: ``"onnx"`` exports a torch model; ``"torch"`` packs torch itself.
        torch_index: address of a package index that is asked besides the usual one, such as PyTorch's
            for the CPU, whose wheels are a tenth of the usual ones' size.

    Raises:
        SpecError: Python or architecture are none.
        ModelError: a requirement has no wheel for that platform, the model can't be exported, or names
            clash.
        TargetError: uv, or what the export needs, isn't installed.
    """
    platform = _platform(python, architecture)
    warnings: list[str] = []
    packed = _served(model, form, warnings)
    lock = wheels.resolve(_needs(packed), platform, index=torch_index)
    tree = wheels.installed(lock, platform, index=torch_index)
    _refuse_clashes(tree)
    members = (*_own(packed, lock, tree, platform), *users_parts(packed, warnings), *tree.members)
    warnings += thread_warnings(packed)
    content = Artifact("zip", members)  # sorts them, and refuses names that clash
    return RunFiles(platform, packed, lock, tuple(warnings), content.members, (model, packed))


def run_image(
    base: Base, members: Iterable[Member], *, env: Mapping[str, str] | None = None
) -> ImageArtifact:
    """`base` with `members` in `ROOT` on it, answering HTTP on ``$PORT``.

    Raises:
        ModelError: names clash.
        SpecError: `env` can't be set.
    """
    parts: dict[str, list[Member]] = {what: [] for what in LAYERS}
    for member in members:
        top = member.name.partition("/")[0]
        parts["model" if top == "model" else "code" if top in CODE else "requirements"].append(member)
    layers = tuple(Layer.of(parts[what], root=ROOT, what=what) for what in LAYERS if parts[what])
    return ImageArtifact(base, layers, entrypoint=(), cmd=COMMAND, env={**ENV, **(env or {})}, workdir=ROOT)


def _served(model: Model, form: Form, warnings: list[str]) -> Model:
    """`model` in the form that is served; an image has room for torch where nothing else serves."""
    from clouddeploy.model.onnx_export import is_convertible

    if form == "torch" or not is_convertible(model):
        return model
    bound = importing("torch", model.handler, model.code) if model.handler else ()
    if bound:
        warnings.append(f"{sorted(bound)[0]} imports torch, so the model is served by torch, not as ONNX")
        return model
    return model.to("onnx")


def _needs(model: Model) -> tuple[str, ...]:
    """What serving `model` takes, torch and the server included."""
    found = (*needs(model), *torch_needs(model))
    return found if "functions-framework" in map(name_of, found) else (*found, FRAMEWORK)


def _own(model: Model, lock: Iterable[str], tree: wheels.Tree, platform: Platform) -> list[Member]:
    packages = {
        "python": platform.python,
        "architecture": platform.architecture,
        "entries": list(tree.entries),
    }
    files = {
        ENTRY: handler_source(HANDLER),
        **runtime_files(),
        f"model/{MANIFEST}": canonical_json(model.manifest()),
        LOCK: lines(lock),
        PACKAGES: canonical_json(packages),
    }
    return members_of(files)


def _refuse_clashes(tree: wheels.Tree) -> None:
    ours = {*CODE, "model"}
    taken = sorted({name for name in tree.entries if name in ours or name.removesuffix(".py") in ours})
    if taken:
        raise ModelError(
            f"the requirements install {', '.join(map(repr, taken))}, which is a name of ours in the image",
            why="main.py is the entry, the user's code lies in app, the weights in model",
            fix="leave clouddeploy out of the requirements" if taken == ["clouddeploy"] else "leave it out",
        )


def _platform(python: str, architecture: str) -> Platform:
    _check_python(python)
    if architecture not in ("x86_64", "arm64"):
        raise SpecError(
            f"architecture is {architecture!r}", why="allowed: 'x86_64', 'arm64'", fix="choose one of them"
        )
    # Debian 12 and 13, on which the slim images stand, have a newer C library than this.
    return Platform(python, architecture, GLIBC)  # type: ignore[arg-type]


def _check_python(python: str) -> None:
    if not re.fullmatch(r"3\.\d{1,2}", python):
        raise SpecError(f"python is {python!r}", why="expected a version such as '3.13'", fix="correct it")
