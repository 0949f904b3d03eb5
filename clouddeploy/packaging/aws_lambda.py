"""The zip that AWS Lambda runs, for a Python and an architecture that need not be this machine's.

::

    lambda_handler.py                our entry file, byte for byte
    clouddeploy/runtime/*.py         a namespace package: no clouddeploy/__init__.py
    app/<the user's code>
    model/clouddeploy.json           the manifest
    model/<weights, at their names>
    requirements.lock                what was resolved for the function's platform, one pin a line
    clouddeploy-packages.json        which of the top-level names came from wheels, and for what
    <the wheels' content>

Limits (AWS Lambda Developer Guide, "Lambda quotas", deployment package): 250 MB unpacked, which the
service enforces as less than 262144000 bytes; 50 MB zipped when sent with the call itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from clouddeploy.errors import ModelChanged, ModelError
from clouddeploy.model import Model
from clouddeploy.packaging import wheels
from clouddeploy.packaging.artifact import MANIFEST, Artifact, Member, Report
from clouddeploy.packaging.needs import needs, refuse_torch, served_form
from clouddeploy.packaging.parts import (
    canonical_json,
    largest,
    lines,
    mebibytes,
    members_of,
    told,
    users_parts,
)
from clouddeploy.packaging.platforms import Platform
from clouddeploy.packaging.shipped import handler_source, runtime_files

ENTRY = "lambda_handler.py"
LOCK = "requirements.lock"
PACKAGES = "clouddeploy-packages.json"
OURS = frozenset((ENTRY, "clouddeploy", "app", "model", LOCK, PACKAGES))
UNPACKED_BYTES = 262_144_000
"""A package must be smaller than this, unpacked."""
DIRECT_BYTES = 50 << 20
"""A zip up to this size could be sent in the call; ours go through S3 in any case."""


@dataclass(frozen=True)
class LambdaArtifact:
    """A model packed for Lambda: a zip, named by content before a byte of it is written.

    Args:
        platform: what it was packed for.
        model: what is in it: the model given, or its ONNX form.
        lock: its requirements for that platform, one pin a line.
        warnings: what the maker should know, such as a suspected secret (never the secret itself).
        content: its files.
        tree: the wheels among them.
    """

    platform: Platform
    model: Model
    lock: tuple[str, ...]
    warnings: tuple[str, ...]
    content: Artifact = field(repr=False)
    tree: wheels.Tree = field(repr=False)

    @property
    def members(self) -> tuple[Member, ...]:
        """Its files, sorted by name."""
        return self.content.members

    @property
    def digest(self) -> str:
        """sha256 over names, sizes, contents and modes, 64 hex digits; known before any byte is written."""
        return self.content.digest

    @property
    def unpacked_bytes(self) -> int:
        """Bytes of all files, uncompressed."""
        return self.content.size

    @property
    def size(self) -> int:
        """The same, as `Artifact` calls it."""
        return self.content.size

    @cached_property
    def largest(self) -> tuple[tuple[str, int], ...]:
        """The largest parts and their bytes: packages with their libraries, the model, the code."""
        return largest(self.members)

    def write(self, out: Path, report: Report | None = None) -> Path:
        """Write the zip to `out`: whole or not at all, the same bytes each time.

        Args:
            out: the file to be; one of that name is replaced.
            report: told ``(done, total)`` in unpacked bytes.

        Raises:
            ModelChanged: a file isn't what it was when the model was made.
            ModelError: a file can't be read, or the disk is full.
            SpecError: `out` can't be written.
        """
        from clouddeploy.packaging.zip_archive import write_zip

        try:
            return write_zip(self.members, Path(out), report=report or _silent)
        except ModelChanged as error:
            if not any(repr(member.name) in error.what for member in self.tree.members):
                raise
            self.tree.forget()
            raise ModelError(
                f"the installed wheels in {self.tree.folder} were changed",
                why=error.why,
                fix="run it again: they are installed anew",
            ) from error


def lambda_artifact(model: Model, *, python: str, architecture: str) -> LambdaArtifact:
    """`model` with its requirements as Lambda unpacks it. A torch model becomes ONNX by itself.

    Args:
        model: what to pack.
        python: of the function's runtime, such as ``"3.13"``.
        architecture: ``"arm64"`` or ``"x86_64"``.

    Raises:
        SpecError: Python or architecture are none.
        ModelError: a requirement has no wheel for that platform, torch is required, the model can't
            be exported, names clash, or the package is too large: tells the total, its largest
            parts and what to do.
        TargetError: uv, or what the export needs, isn't installed.
    """
    platform = Platform.of_lambda(python, architecture)
    packed = served_form(model)
    lock = wheels.resolve(needs(packed), platform)
    refuse_torch(lock, "what the requirements need")
    tree = wheels.installed(lock, platform)
    refuse_clashes(tree)
    warnings: list[str] = []
    mine = users_parts(packed, warnings)
    members = (*own_members(packed, lock, tree, platform), *mine, *tree.members)
    content = Artifact("zip", members, tuple(warnings), (model, packed))
    _refuse_size(content.members)
    return LambdaArtifact(platform, packed, lock, tuple(warnings), content, tree)


def own_members(model: Model, lock: Iterable[str], tree: wheels.Tree, platform: Platform) -> list[Member]:
    """Entry, runtime, manifest, lock, and the list of what came from wheels."""
    packages = {
        "python": platform.python,
        "architecture": platform.architecture,
        "entries": list(tree.entries),
    }
    files = {
        ENTRY: handler_source(ENTRY),
        **runtime_files(),
        f"model/{MANIFEST}": canonical_json(model.manifest()),
        LOCK: lines(lock),
        PACKAGES: canonical_json(packages),
    }
    return members_of(files)


def refuse_clashes(tree: wheels.Tree) -> None:
    """Refuse wheels with a name of ours.

    Raises:
        ModelError: names it.
    """
    taken = sorted({name for name in tree.entries if name.removesuffix(".py") in OURS or name in OURS})
    if not taken:
        return
    own = taken == ["clouddeploy"]
    raise ModelError(
        f"the requirements install {', '.join(map(repr, taken))}, which is a name of ours in the package",
        why="the runtime is packed already" if own else "the user's code lies in app, the weights in model",
        fix="leave clouddeploy out of the requirements" if own else "leave that requirement out",
    )


def _refuse_size(members: Iterable[Member]) -> None:
    found = tuple(members)
    total = sum(member.size for member in found)
    if total < UNPACKED_BYTES:
        return
    raise ModelError(
        f"the package has {mebibytes(total)} unpacked ({total:,} bytes)",
        why=f"Lambda takes less than {mebibytes(UNPACKED_BYTES)}; the largest parts: {told(largest(found))}",
        fix="leave out requirements that serving doesn't need, make the weights smaller (float16, "
        'quantisation), or deploy an image, which may have 10 GB: Deployer("lambda", package="image")',
    )


def _silent(done: int, total: int) -> None:
    """Report to nobody."""
