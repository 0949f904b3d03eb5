"""AWS's PyTorch inference image: the model data, its requirements, and our stand-in for the toolkit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.emulator.containers import sagemaker
from clouddeploy.emulator.http.listener import LOOPBACK
from clouddeploy.emulator.plane.artifact import Objects, unpack
from clouddeploy.emulator.plane.environment import Environment, base_environment
from clouddeploy.emulator.plane.process import THREADS, Process, Start, own_folders
from clouddeploy.emulator.plane.recipe import Recipe, Sink, StartFailed
from clouddeploy.emulator.plane.requirements import Install, RequirementsFailed

TORCH_FILES = (".pt", ".pt2", ".pth", ".safetensors")


@dataclass(frozen=True)
class Toolkit:
    """An inference container with model data.

    Args:
        folder: its folder, which holds ``model``, and where its home and temporary files are.
        environment: what it can import.
        variables: the environment variables that SageMaker and the model's definition set.
    """

    folder: Path
    environment: Environment
    variables: Mapping[str, str]

    def run(self, log: Sink) -> Process:
        """Start its process on a socket that it inherits, so that no port is ever guessed or polled for."""
        model = str(self.folder / "model")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
            listening.bind((LOOPBACK, 0))
            listening.listen(128)
            number = listening.fileno()
            # -I: what is installed for this machine's user stays out.
            python = (str(self.environment.python), "-I", "-B", "-u")
            command = (*python, sagemaker.__file__, model, str(number))
            variables = {
                "PATH": f"{self.environment.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
                **own_folders(self.folder),
                **dict.fromkeys(THREADS, "1"),
                "SAGEMAKER_BASE_DIR": str(self.folder),
                "SM_MODEL_DIR": model,
                **self.variables,
            }
            start = Start(command, self.folder, variables, listening.getsockname()[1], inherits=number)
            return Process(start, log)

    def advice(self) -> str:
        """That this machine lacks what the image has."""
        weights = any(f.suffix in TORCH_FILES for f in (self.folder / "model").glob("*"))
        if not weights or self.environment.has("torch"):
            return ""
        return (
            "The model looks like a PyTorch one, and PyTorch isn't installed on this machine, from "
            "where the embedded cloud takes what SageMaker's image has: install torch beside clouddeploy."
        )


def prepare(recipe: Recipe, folder: Path, s3: Objects, log: Sink, cancelled: threading.Event) -> Toolkit:
    """Unpack the model data into `folder` and install its requirements.

    Raises:
        BadArtifact: the model data can't be unpacked.
        StartFailed: its requirements can't be installed.
    """
    if not folder.exists():
        unpack(recipe.source, s3, folder / "model")
    wanted = folder / "model" / "code" / "requirements.txt"
    try:
        environment = Install(wanted, base_environment(), log, cancelled).environment()
    except RequirementsFailed as error:
        log("code/requirements.txt could not be installed.")
        raise StartFailed(f"pip: {error}") from error
    return Toolkit(folder, environment, dict(recipe.variables))
