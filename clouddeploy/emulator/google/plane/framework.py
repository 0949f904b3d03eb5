"""functions-framework in an environment of its own, made once by pip.

It never shares one with google-cloud-functions: both write ``google/cloud/functions/__init__.py``
(functions-framework-python, issue 184). The pins are what pip chose in November 2026.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from clouddeploy.emulator.plane.base_image import Installed, canonical
from clouddeploy.emulator.plane.environment import cached, digest, link
from clouddeploy.emulator.plane.pip import Pip

logger = logging.getLogger(__name__)
VERSION = "3.10.2"
PINS = (
    f"functions-framework=={VERSION}", "anyio==4.16.0", "blinker==1.9.0", "click==8.5.1",
    "cloudevents==1.12.0", "deprecation==2.1.0", "Flask==3.1.3", "gunicorn==27.0.1", "h11==0.16.0",
    "idna==3.20", "itsdangerous==2.2.0", "Jinja2==3.1.6", "MarkupSafe==3.0.4", "packaging==26.3",
    "starlette==1.10.0", "typing_extensions==4.16.0", "uvicorn==0.54.0", "uvicorn-worker==0.4.0",
    "watchdog==7.1.0", "Werkzeug==3.1.9",
)  # fmt: skip


def prepare(log: Callable[[str], None] | None = None) -> Path:
    """The folder of the environment that has functions-framework; made when it isn't there yet.

    Args:
        log: hears that it is being made, which takes some seconds and a package index.

    Raises:
        RequirementsFailed: pip could not install it; nothing is left behind then.
    """
    key = digest(["functions-framework", sys.base_prefix, sys.version, *PINS])
    return cached(key, functools.partial(_build, log=log))


def _build(folder: Path, *, log: Callable[[str], None] | None) -> None:
    tell = log or logger.info
    tell(f"Installing functions-framework {VERSION} for the embedded Google Cloud, once: {folder.parent}")
    link((), folder)
    Pip(folder, folder, tell, threading.Event()).install("--no-deps", *PINS)


def installed_as(distribution: metadata.Distribution) -> Installed:
    """A distribution as environments link it."""
    files = tuple(str(f).replace("\\", "/") for f in distribution.files or ())
    root = Path(str(distribution.locate_file("")))
    return Installed(canonical(distribution.metadata["Name"]), distribution.version, root, files)
