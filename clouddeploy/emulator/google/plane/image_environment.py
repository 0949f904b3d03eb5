"""The environment of an image: this machine's Python, and what the image itself holds."""

from __future__ import annotations

import threading
from dataclasses import replace

from clouddeploy.emulator.google.plane.instance import NotReady
from clouddeploy.emulator.google.plane.spec import RevisionSpec
from clouddeploy.emulator.plane.image_environment import environment_for
from clouddeploy.emulator.plane.recipe import StartFailed

_turn = threading.Lock()


def with_environment(spec: RevisionSpec) -> RevisionSpec:
    """A revision of an image, with the environment that runs it.

    Raises:
        NotReady: it needs what this machine doesn't have.
    """
    place = spec.root / spec.workdir.lstrip("/")
    with _turn:  # revisions of equal images share their files
        try:
            made = environment_for(place, lambda line: spec.log("WARNING", line), threading.Event())
        except StartFailed as error:
            raise NotReady(str(error)) from error
    return replace(spec, environment=made.folder)
