"""The layout that SageMaker's containers and the ``sagemaker-inference`` toolkit take.

::

    clouddeploy.json                 the manifest
    <weights, at their names>
    code/inference.py                model_fn, input_fn, predict_fn, output_fn
    code/requirements.txt            only when something is required: the container runs pip for it
    code/app/<the user's code>
    code/clouddeploy/runtime/*.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clouddeploy.errors import SpecError
from clouddeploy.packaging.artifact import MANIFEST, Artifact, Form, Member
from clouddeploy.packaging.parts import canonical_json, users_parts
from clouddeploy.packaging.requirements import normalised
from clouddeploy.packaging.shipped import handler_source, runtime_files
from clouddeploy.spec import Compression

if TYPE_CHECKING:
    from clouddeploy.model import Model

ENTRY = "sagemaker_inference.py"
PREFIX_FROM_BYTES = 256 << 20
"""Bytes of weights from which the uncompressed form starts faster (docs/decisions/0003-model-form.md)."""
FORMS: dict[str, Form] = {"gzip": "gzip", "none": "prefix"}


def sagemaker_artifact(
    model: Model, *, compression: Compression = "auto", pins: Sequence[str] = ()
) -> Artifact:
    """`model` in the form that SageMaker loads. Reads the code, and of the weights a first glance.

    Args:
        model: what to pack.
        compression: ``"gzip"`` for one ``model.tar.gz``, ``"none"`` for the S3 prefix form,
            ``"auto"`` for the one that starts faster by size. Serverless endpoints, batch transform
            and multi-model endpoints take ``"gzip"`` only (SageMaker API, ContainerDefinition).
        pins: requirements that the provider adds.

    Raises:
        ModelError: a file name, a requirement or the handler can't be packed.
    """
    members = [Member.of_bytes(MANIFEST, canonical_json(model.manifest()))]
    members += [Member.of_bytes("code/inference.py", handler_source(ENTRY))]
    members += [Member.of_bytes(f"code/{name}", content) for name, content in runtime_files().items()]
    requirements = normalised(model.requirements, pins=pins)
    if requirements:
        content = "".join(f"{line}\n" for line in requirements)
        members.append(Member.of_bytes("code/requirements.txt", content.encode()))
    warnings: list[str] = []
    mine = users_parts(model, warnings, files="", code="code/app/")
    return Artifact(_form(model, compression), tuple(members + mine), tuple(warnings), model)


def _form(model: Model, compression: Compression) -> Form:
    if compression == "auto":
        return "prefix" if model.size >= PREFIX_FROM_BYTES else "gzip"
    if compression not in FORMS:
        raise SpecError(
            f"compression is {compression!r}", why="allowed: 'auto', 'gzip', 'none'", fix="choose one of them"
        )
    return FORMS[compression]
