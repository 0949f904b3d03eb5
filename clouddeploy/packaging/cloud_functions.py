"""The source that Cloud Functions (second generation) builds: a zip, or the folder that gcloud takes.

::

    main.py                          our entry file (handlers/cloud_function.py), byte for byte
    requirements.txt                 what Google's build installs, one exact pin a line
    clouddeploy/runtime/*.py         a namespace package: no clouddeploy/__init__.py
    app/<the user's code>
    model/clouddeploy.json           the manifest
    model/<weights, at their names>
    clouddeploy-model.json           only when weights lie in Cloud Storage: what they are

``gcloud functions deploy --source <folder> --entry-point predict`` takes the same folder.

Limits ("Cloud Run functions: Quotas", max deployment size): for the second generation the page gives
none ("N/A"), and for the first 500 MB unpacked. That much is held here too, as each build copies the
source several times. A signed upload address, which gcloud uses, is known to refuse zips somewhere above
100 MB (firebase-tools #4146, #7343).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from clouddeploy.errors import ModelError, SpecError
from clouddeploy.model import Model
from clouddeploy.packaging import wheels
from clouddeploy.packaging.artifact import MANIFEST, Artifact, Member, Report
from clouddeploy.packaging.forking import thread_warnings
from clouddeploy.packaging.needs import Place, name_of, needs, refuse_torch, served_form
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
from clouddeploy.packaging.remote import REMOTE, RemoteModel, divided
from clouddeploy.packaging.shipped import handler_source, runtime_files

FunctionForm = Literal["onnx", "torch"]
HANDLER, ENTRY = "cloud_function.py", "main.py"
ENTRY_POINT, EVENT_ENTRY_POINT = "predict", "on_event"
REQUIREMENTS = "requirements.txt"
FRAMEWORK = "functions-framework>=3.8,<4"
"""What serves the function; the build adds its own where it isn't among the requirements."""
SOURCE_BYTES = 500_000_000
"""A source must be no larger than this, unpacked."""
SIGNED_UPLOAD_BYTES = 100_000_000
"""What a signed upload address is sure to take."""
MODEL_BYTES_IN_ZIP = 50_000_000
TORCH_FREE = Place(
    "isn't served in the ONNX form",
    "with torch a cold start takes about ten times as long, and users wait for it",
    'ask for torch with form="torch"',
)


@dataclass(frozen=True)
class FunctionSource:
    """A model packed for Cloud Functions, named by content before a byte of it is written.

    Args:
        platform: what its requirements were resolved for.
        model: what is in it: the model given, or its ONNX form.
        lock: its requirements for that platform, one pin a line.
        warnings: what the maker should know, such as a suspected secret (never the secret itself).
        content: its files.
        remote: the weights that are not among them and must lie in Cloud Storage, if there are any.
    """

    platform: Platform
    model: Model
    lock: tuple[str, ...]
    warnings: tuple[str, ...]
    content: Artifact = field(repr=False)
    remote: RemoteModel | None = field(default=None, repr=False)

    @property
    def members(self) -> tuple[Member, ...]:
        """Its files, sorted by name."""
        return self.content.members

    @property
    def digest(self) -> str:
        """sha256 over names, sizes, contents and modes, 64 hex digits, remote weights included."""
        return self.content.digest

    @property
    def unpacked_bytes(self) -> int:
        """Bytes of all files, uncompressed; without remote weights."""
        return self.content.size

    @property
    def size(self) -> int:
        """The same, as `Artifact` calls it."""
        return self.content.size

    @property
    def remote_model(self) -> Artifact | Member | None:
        """What to put into Cloud Storage: one file as it is, or several as one ``.tar.gz``."""
        return self.remote.content if self.remote else None

    @cached_property
    def largest(self) -> tuple[tuple[str, int], ...]:
        """The largest parts and their bytes."""
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
        return self.content.write(Path(out), report=report)

    def write_folder(self, out: Path, report: Report | None = None) -> Path:
        """Write the same files to the new folder `out`, for ``gcloud functions deploy --source``.

        Raises:
            ModelChanged, ModelError, SpecError: as `write`; a folder that isn't empty is refused.
        """
        return Artifact("prefix", self.members, origin=self).write(Path(out), report=report)


def function_source(
    model: Model,
    *,
    python: str,
    form: FunctionForm = "onnx",
    torch_index: str | None = None,
    model_bytes_in_zip: int = MODEL_BYTES_IN_ZIP,
) -> FunctionSource:
    """`model` as Cloud Functions builds and runs it. A torch model becomes ONNX by itself.

    Args:
        model: what to pack.
        python: of the function's runtime, such as ``"3.13"``.
        form: ``"onnx"`` serves without torch; ``"torch"`` serves the model as it is.
        torch_index: address of a package index that is asked besides the usual one, here and by
            Google's build, such as PyTorch's for the CPU.
        model_bytes_in_zip: weights of more bytes than this lie in Cloud Storage.

    Raises:
        SpecError: Python, form or index are none.
        ModelError: a requirement has no wheel for that platform, torch is required in the ONNX form, the
            model can't be exported, names clash, or the source is too large: tells the total, its
            largest parts and what to do.
        TargetError: uv, or what the export needs, isn't installed.
    """
    _check(form, torch_index)
    platform = Platform.of_functions(python)
    packed = served_form(model, TORCH_FREE) if form == "onnx" else model
    lock = wheels.resolve(_needs(packed, form), platform, index=torch_index)
    _refuse_elsewhere(lock, torch_index)
    if form == "onnx":
        refuse_torch(lock, "what the requirements need", TORCH_FREE)
    warnings: list[str] = []
    mine = users_parts(packed, warnings)
    packed_here, remote = divided(mine, model_bytes_in_zip)
    members = (*members_of(_own(packed, lock, torch_index, remote)), *packed_here)
    content = Artifact("zip", members, origin=(model, packed))
    _refuse_size(content)
    warnings += [*thread_warnings(packed), *_warnings(lock, torch_index, content, remote)]
    return FunctionSource(platform, packed, lock, tuple(warnings), content, remote)


def _check(form: str, torch_index: str | None) -> None:
    if form not in get_args(FunctionForm):
        raise SpecError(f"form is {form!r}", why="allowed: 'onnx', 'torch'", fix="choose one of them")
    if torch_index is None:
        return
    scheme, _, rest = torch_index.partition("://")
    if scheme not in ("http", "https") or not rest or torch_index.split() != [torch_index]:
        raise SpecError(
            f"torch_index is {torch_index!r}",
            why="Google's build asks it too, so it is an http or https address",
            fix="give the address of a package index",
        )
    if "@" in rest.partition("/")[0]:
        raise SpecError(
            "torch_index holds a user or a password",
            why="it is written into requirements.txt, which anyone who may read the source can see",
            fix="give an index that needs none",
        )


def _needs(model: Model, form: FunctionForm) -> Iterable[str]:
    from clouddeploy.packaging.images.pytorch import torch_needs  # whose package imports this module

    found = (*needs(model), *(torch_needs(model) if form == "torch" else ()))
    return found if "functions-framework" in map(name_of, found) else (*found, FRAMEWORK)


def _refuse_elsewhere(lock: Iterable[str], torch_index: str | None) -> None:
    """Refuse versions that only an index of this machine's settings has: the usual one has no local ones."""
    for pin in lock:
        if "+" in pin and torch_index is None:
            raise ModelError(
                f"the requirements come to {pin}, which Google's build would not find",
                why="the part after the plus names a build that the usual index doesn't have (PEP 440)",
                fix="name the index that has it with torch_index, or leave it out of uv's settings "
                "(UV_TORCH_BACKEND, UV_INDEX)",
            )


def _own(
    model: Model, lock: Iterable[str], torch_index: str | None, remote: RemoteModel | None
) -> dict[str, bytes]:
    index = f"--extra-index-url {torch_index}\n".encode() if torch_index else b""
    files = {
        ENTRY: handler_source(HANDLER),
        REQUIREMENTS: index + lines(lock),
        **runtime_files(),
        f"model/{MANIFEST}": canonical_json(model.manifest()),
    }
    if remote:
        files[REMOTE] = canonical_json(remote.described())
    return files


def _refuse_size(content: Artifact) -> None:
    if content.size <= SOURCE_BYTES:
        return
    raise ModelError(
        f"the source has {mebibytes(content.size)} unpacked ({content.size:,} bytes)",
        why=f"at most {mebibytes(SOURCE_BYTES)} are packed for Cloud Functions; the largest parts: "
        f"{told(largest(content.members))}",
        fix="leave data files out of the code, have larger weights in Cloud Storage (lower "
        'model_bytes_in_zip), or deploy an image: Deployer("cloud-run")',
    )


def _warnings(
    lock: Iterable[str], torch_index: str | None, content: Artifact, remote: RemoteModel | None
) -> Iterable[str]:
    if torch_index is None and any(line.startswith("torch==") for line in lock):
        yield (
            "requirements.txt: torch from the usual index brings CUDA's libraries for Linux, some gigabytes "
            "that a function can't use: name an index of CPU wheels with torch_index"
        )
    if content.size > SIGNED_UPLOAD_BYTES:
        yield (
            f"the source has {mebibytes(content.size)} unpacked; gcloud's own upload may refuse a zip above "
            f"{mebibytes(SIGNED_UPLOAD_BYTES)} (give gcloud --stage-bucket)"
        )
    if remote:
        yield (
            f"{mebibytes(remote.size)} of weights lie in Cloud Storage and are downloaded at each start, to "
            "a disk that counts as memory: give the function memory for at least twice as much"
        )
