"""A container of an image of the embedded registry: unpacked, and started as SageMaker starts it.

``docker run IMAGE serve`` ("Use Your Own Inference Code with Hosting Services", Amazon SageMaker Developer
Guide): the image's entry point with the one argument ``serve``. No system of the image's is started: its
files lie in a folder, and this machine's own Python runs what is Python. It is told its port by
``SAGEMAKER_BIND_TO_PORT``, as containers of an endpoint with several are; all of them share one address here.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.emulator.functions.guardian import Guardian
from clouddeploy.emulator.http.listener import LOOPBACK
from clouddeploy.emulator.plane.artifact import Objects, remove
from clouddeploy.emulator.plane.artifact import unpack as unpack_data
from clouddeploy.emulator.plane.environment import Environment
from clouddeploy.emulator.plane.image_environment import PYTHON, environment_for, machine
from clouddeploy.emulator.plane.process import Process, Start, own_folders
from clouddeploy.emulator.plane.recipe import Recipe, Sink, StartFailed
from clouddeploy.emulator.registry.images import StoredImage
from clouddeploy.emulator.registry.unpacking import LayerUnusable, unpack

ARGUMENT = "serve"
MODEL = "opt/ml/model"
BIND, DEFAULT_PORT = "SAGEMAKER_BIND_TO_PORT", 8080
ACCEPTS_PORT = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
"""The label of images that listen where `BIND` says (Developer Guide, "Custom inference containers")."""
PROGRAMS = ("usr/local/bin", "usr/bin", "bin")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
FOREIGN = frozenset({"LD_LIBRARY_PATH", "PYTHONHOME", "TZ"})
"""Variables that mean the image's own system, which doesn't run here."""
IS_PYTHON = re.compile(r"(.*/)?python(3(\.\d+)?)?")


@dataclass(frozen=True)
class ImageProgram:
    """An unpacked image.

    Args:
        image: what it is.
        folder: its folder; the image's files are in ``root``.
        environment: what Python can import besides.
        variables: the environment variables that SageMaker and the model's definition set.
        guardian: what ends its processes when the embedded cloud is killed.
    """

    image: StoredImage
    folder: Path
    environment: Environment
    variables: Mapping[str, str]
    guardian: Guardian

    @property
    def root(self) -> Path:
        """What the image calls ``/``."""
        return self.folder / "root"

    def run(self, log: Sink) -> Process:
        """Start its process.

        Raises:
            StartFailed: its entry point can't be started here.
        """
        base = "its base image is a stand-in" if self.image.is_stand_in else "its own system isn't started"
        log(f"clouddeploy: {base}: this machine's Python {PYTHON} on {machine()} runs its code")
        port = _free_port()
        variables = self._variables(port)
        command = self._command(variables["PATH"], log)
        place = within(self.root, self.image.workdir)
        folder = place if place.is_dir() else self.root
        try:
            return Process(Start(command, folder, variables, port, guardian=self.guardian), log)
        except OSError as error:
            log(f"exec {command[0]}: {error.strerror}")
            raise StartFailed(f"{command[0]} can't be started here: {error.strerror}") from error

    def _command(self, path: str, log: Sink) -> tuple[str, ...]:
        first, *rest = (*self.image.entrypoint, ARGUMENT)
        arguments = [mapped(self.root, part) for part in rest]
        if IS_PYTHON.fullmatch(first):
            return (str(self.environment.python), *arguments)
        found = within(self.root, first)
        program = str(found) if "/" in first and found.exists() else shutil.which(first, path=path)
        if program is None:
            log(f'exec: "{first}": executable file not found in $PATH')
            log(
                "clouddeploy: only what lies in the image's own layers, Python and this machine's programs "
                "can be started here; nothing of the image's base system can when that is a stand-in"
            )
            raise StartFailed(f"{first!r} isn't in the image")
        return (*self._interpreter(Path(program)), program, *arguments)

    def _interpreter(self, program: Path) -> tuple[str, ...]:
        """Python, for a script of the image that names the image's own."""
        if not program.is_relative_to(self.root):
            return ()
        with program.open("rb") as file:
            line = file.readline(256)
        wanted = line.removeprefix(b"#!").split() if line.startswith(b"#!") else []
        named = wanted and IS_PYTHON.fullmatch(wanted[0].decode("utf-8", "replace"))
        return (str(self.environment.python),) if named else ()

    def _variables(self, port: int) -> dict[str, str]:
        image = {k: mapped(self.root, v) for k, v in self.image.env.items() if k not in FOREIGN}
        inner = [within(self.root, part) for part in self.image.env.get("PATH", "").split(":") if part]
        held = self.root / f"usr/local/lib/python{PYTHON}/site-packages"
        libraries = [image.get("PYTHONPATH", ""), str(held) if held.is_dir() else ""]
        places = [*(p for p in inner if p.is_dir()), *(self.root / p for p in PROGRAMS)]
        model = self.root / MODEL
        # Nobody but this machine is to reach it, whatever the server does in a real container.
        ours = {"CLOUDDEPLOY_SERVE_MODELS": str(model), "CLOUDDEPLOY_SERVE_HOST": LOOPBACK}
        return {
            **own_folders(self.folder),
            "PYTHONUNBUFFERED": "1",
            **(ours if (model / "clouddeploy.json").is_file() else {}),
            **image,
            "PYTHONPATH": ":".join(filter(None, libraries)),
            "PATH": ":".join([str(self.environment.folder / "bin"), *map(str, places), SYSTEM_PATH]),
            "SM_MODEL_DIR": str(model),
            **{k: mapped(self.root, v) for k, v in self.variables.items()},
            BIND: str(port),
        }

    def advice(self) -> str:
        """That it may listen elsewhere, where it doesn't say that it takes a port."""
        if self.image.labels.get(ACCEPTS_PORT) == "true" or "clouddeploy" in " ".join(self.image.entrypoint):
            return ""
        return (
            f"clouddeploy: the container must listen on the port that {BIND} tells, not on {DEFAULT_PORT}: "
            "all containers of the embedded cloud share one address"
        )


def prepare(
    recipe: Recipe,
    image: StoredImage,
    folder: Path,
    s3: Objects,
    log: Sink,
    cancelled: threading.Event,
    guardian: Guardian,
) -> ImageProgram:
    """Unpack `image` into `folder`, and model data where the image expects it.

    Raises:
        BadArtifact: the model data can't be unpacked.
        StartFailed: the image can't be unpacked, or needs what can't be had here.
    """
    root = folder / "root"
    if not root.exists():
        try:
            unpack(image, root)
        except LayerUnusable as error:
            remove(folder)
            raise StartFailed(f"the image can't be unpacked: {error}") from error
        if recipe.source is not None:
            remove(root / MODEL)
            unpack_data(recipe.source, s3, root / MODEL)
    environment = environment_for(within(root, image.workdir), log, cancelled)
    return ImageProgram(image, folder, environment, dict(recipe.variables), guardian)


def within(root: Path, path: str) -> Path:
    """A path of the image as one of this machine."""
    return root / posixpath.normpath(f"/{path}").lstrip("/")


def mapped(root: Path, value: str) -> str:
    """A value that is a path of the image, or a list of some, as where they are here; others as they are."""
    if not value.startswith("/"):
        return value
    return ":".join(_there(root, part) for part in value.split(":"))


def _there(root: Path, part: str) -> str:
    found = within(root, part)
    return str(found) if part.startswith("/") and part != "/" and found.exists() else part


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind((LOOPBACK, 0))
        port: int = taken.getsockname()[1]
        return port
