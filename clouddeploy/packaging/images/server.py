"""The image with our model server: the same one on Cloud Run, on SageMaker and in a cluster.

::

    /app/clouddeploy/                the server, and what it imports
    /app/requirements.lock           what was resolved for the image's platform, one pin a line
    /app/clouddeploy-packages.json   which names in /app came from wheels, and for what
    /app/<the wheels' content>
    /app/model/clouddeploy.json      the manifest
    /app/model/<weights, at their names>
    /app/model/code/app/<the user's code>

SageMaker may lay a model of its own into ``/opt/ml/model``, which then is the one that is served. The image
is run as SageMaker does it, ``IMAGE serve``, which is also what it does by itself; see
docs/decisions/0010-one-server-image.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from clouddeploy.errors import ModelError, SpecError
from clouddeploy.model import Model
from clouddeploy.model.code import importing
from clouddeploy.packaging import wheels
from clouddeploy.packaging.artifact import MANIFEST, Artifact, Member
from clouddeploy.packaging.images.base import Base
from clouddeploy.packaging.images.image import ImageArtifact
from clouddeploy.packaging.images.layer import Layer
from clouddeploy.packaging.images.pytorch import torch_needs
from clouddeploy.packaging.needs import NUMPY, name_of, needs
from clouddeploy.packaging.parts import canonical_json, largest, lines, members_of, users_parts
from clouddeploy.packaging.platforms import GLIBC, Platform
from clouddeploy.packaging.shipped import server_files as own_code

Form = Literal["onnx", "torch"]
ROOTS = {"app": "/app", "model": "/app/model"}
"""Where the members under a name's first part lie in the image."""
LOCK, PACKAGES = "requirements.lock", "clouddeploy-packages.json"
CODE = frozenset(("clouddeploy", LOCK, PACKAGES))
TAKEN = CODE | {"model"}
SERVE = ("httptools>=0.6.4", "msgspec>=0.19", "orjson>=3.10", "uvloop>=0.21")
"""What the server needs: the extra ``serve``."""
ENTRYPOINT, COMMAND = ("python", "-m", "clouddeploy.server.container"), ("serve",)
ENV = {
    "PYTHONPATH": ROOTS["app"],
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class ServerFiles:
    """A model packed for the server's image.

    Args:
        platform: what it was packed for.
        model: what is in it: the model given, or its ONNX form.
        lock: its requirements for that platform, one pin a line.
        warnings: what the maker should know, such as a suspected secret (never the secret itself).
        members: the files, sorted by name; the first part of a name is one of `ROOTS`.
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
        return largest(replace(member, name=_part(member.name)) for member in self.members)


def server_base(python: str = "3.13") -> str:
    """The name of the base image for a version of Python: Docker's official slim one.

    Raises:
        SpecError: `python` is no version.
    """
    _check_python(python)
    return f"python:{python}-slim"


def server_files(
    model: Model, *, python: str, architecture: str, form: Form = "onnx", torch_index: str | None = None
) -> ServerFiles:
    """`model` with its requirements and the server as the image holds it.

    Args:
        model: what to pack.
        python: of the base image, such as ``"3.13"``.
        architecture: ``"x86_64"`` or ``"arm64"``.
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
    installed = (replace(member, name=f"app/{member.name}") for member in tree.members)
    users = users_parts(packed, warnings, files="model/", code="model/code/app/")
    content = Artifact("zip", (*_own(packed, lock, tree, platform), *users, *installed))  # sorts, and refuses
    return ServerFiles(platform, packed, lock, tuple(warnings), content.members, (model, packed))


def server_image(
    base: Base, members: Iterable[Member], *, env: Mapping[str, str] | None = None
) -> ImageArtifact:
    """`base` with `members` of `ServerFiles` on it, serving by itself.

    What changes seldom lies lowest: a new handler then sends some kilobytes, a new model no wheels.

    Raises:
        ModelError: names clash.
        SpecError: `env` can't be set.
    """
    parts: dict[str, list[Member]] = {"requirements": [], "model": [], "server": [], "code": []}
    for member in members:
        root, _, name = member.name.partition("/")
        if root == "model":
            what = "code" if name.startswith("code/") else "model"
        else:
            what = "server" if name.partition("/")[0] in CODE else "requirements"
        parts[what].append(replace(member, name=name))
    root_of = {"model": ROOTS["model"], "code": ROOTS["model"]}
    layers = tuple(
        Layer.of(some, root=root_of.get(what, ROOTS["app"]), what=what)
        for what, some in parts.items()
        if some
    )
    return ImageArtifact(
        base, layers, entrypoint=ENTRYPOINT, cmd=COMMAND, env={**ENV, **(env or {})}, workdir=ROOTS["app"]
    )


def _part(name: str) -> str:
    """What `name` belongs to: a wheel's top-level name, or the model."""
    root, _, rest = name.partition("/")
    return f"model/{rest}" if root == "model" else rest


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
    named = set(map(name_of, found))
    return (*found, *(one for one in (*SERVE, NUMPY) if name_of(one) not in named))


def _own(model: Model, lock: Iterable[str], tree: wheels.Tree, platform: Platform) -> list[Member]:
    packages = {
        "python": platform.python,
        "architecture": platform.architecture,
        "entries": list(tree.entries),
    }
    files = {
        **{f"app/{name}": content for name, content in own_code().items()},
        f"model/{MANIFEST}": canonical_json(model.manifest()),
        f"app/{LOCK}": lines(lock),
        f"app/{PACKAGES}": canonical_json(packages),
    }
    return members_of(files)


def _refuse_clashes(tree: wheels.Tree) -> None:
    taken = sorted({name for name in tree.entries if name in TAKEN or name.removesuffix(".py") in TAKEN})
    if taken:
        raise ModelError(
            f"the requirements install {', '.join(map(repr, taken))}, which is a name of ours in the image",
            why="the server and the model lie there",
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
