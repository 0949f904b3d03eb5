"""The environment of an image: this machine's Python, and what the image itself holds.

An image that clouddeploy made for another Python or another machine has packages that can't be loaded
here. What its ``clouddeploy-packages.json`` lists is then left out, and this machine's own versions of
what ``requirements.lock`` names stand in, which is told.
"""

from __future__ import annotations

import functools
import json
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

from clouddeploy.emulator.functions.base_image import architecture
from clouddeploy.emulator.google.plane.environments import PYTHON, sources, stand_ins
from clouddeploy.emulator.google.plane.instance import NotReady
from clouddeploy.emulator.google.plane.spec import RevisionSpec
from clouddeploy.emulator.google.plane.wanted import read
from clouddeploy.emulator.plane.environment import cached, digest, link
from clouddeploy.emulator.plane.pip import RequirementsFailed

PACKAGES, LOCK = "clouddeploy-packages.json", "requirements.lock"
_turn = threading.Lock()


def bare() -> Path:
    """An environment that has nothing but Python."""
    key = digest(["nothing", sys.base_prefix, sys.version])
    return cached(key, functools.partial(link, ()))


def with_environment(spec: RevisionSpec) -> RevisionSpec:
    """A revision of an image, with the environment that runs it.

    Raises:
        NotReady: it needs what this machine doesn't have.
    """
    place = spec.root / spec.workdir.lstrip("/")
    if not (place / PACKAGES).is_file():
        return replace(spec, environment=bare())
    packed = json.loads((place / PACKAGES).read_text(encoding="utf-8"))
    if packed["python"] == PYTHON and packed["architecture"] == architecture():
        return replace(spec, environment=bare())
    spec.log(
        "WARNING",
        f"clouddeploy: THIS IS NOT Python {packed['python']} on {packed['architecture']}: the embedded cloud "
        f"runs the image with Python {PYTHON} on {architecture()}, its own.",
    )
    try:
        wanted = read(place / LOCK)
        found = stand_ins(wanted.requirements, sources(spec.log), packed["python"], spec.log)
    except RequirementsFailed as error:
        raise NotReady(f"functions-framework could not be installed: {error}") from error
    if found is None:
        raise NotReady(f"This machine lacks a package of the image's {LOCK}: install it beside clouddeploy.")
    with _turn:
        for entry in packed["entries"]:
            _drop(place, str(entry))
    return replace(spec, environment=found)


def _drop(place: Path, entry: str) -> None:
    path = place / entry
    if path.resolve().parent != place.resolve():
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
