"""What SageMaker's PyTorch inference image has installed, as far as this host has it too.

Source: AWS Deep Learning Containers, ``pytorch/inference/docker/2.6/py3/Dockerfile.cpu`` of the
repository aws/deep-learning-containers (the ``ec2`` and ``sagemaker`` stages) and TorchServe 0.12's
``requirements/common.txt``, as they stood in November 2025. The image's torch is 2.6.0 on Python 3.12;
here the host's own Python and versions run, which is an approximation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

IMAGE = "pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
DISTRIBUTIONS = (
    "awscli", "boto3", "captum", "charset-normalizer", "cryptography", "cython", "h5py", "idna", "ipython",
    "mkl", "numpy", "opencv-python", "packaging", "pandas", "parso", "pillow", "psutil", "pyopenssl",
    "pytz", "pyyaml", "requests", "retrying", "s3transfer", "sagemaker-inference",
    "sagemaker-pytorch-inference", "scikit-learn", "scipy", "setuptools", "torch", "torch-model-archiver",
    "torchaudio", "torchdata", "torchserve", "torchtext", "torchvision", "tqdm", "types-python-dateutil",
    "tzdata", "urllib3",
)  # fmt: skip


def canonical(name: str) -> str:
    """The name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Installed:
    """One distribution of the host.

    Args:
        name: normalised name.
        version: its version.
        root: the folder that holds its files.
        files: their paths relative to `root`.
    """

    name: str
    version: str
    root: Path
    files: tuple[str, ...]

    def entries(self) -> set[str]:
        """The top-level names that it owns in its folder, scripts and data outside it left out."""
        return {f.split("/")[0] for f in self.files if not f.startswith(("..", "/", "__pycache__"))}


def _dependencies(distribution: metadata.Distribution) -> Iterable[str]:
    from packaging.requirements import Requirement

    for text in distribution.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonical(requirement.name)


def installed() -> tuple[Installed, ...]:
    """The image's distributions and their dependencies, as found on this host, sorted by name."""
    found: dict[str, Installed] = {}
    waiting = list(DISTRIBUTIONS)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        files = tuple(str(f).replace("\\", "/") for f in distribution.files or ())
        root = Path(str(distribution.locate_file("")))
        found[name] = Installed(name, distribution.version, root, files)
        waiting += _dependencies(distribution)
    return tuple(found[name] for name in sorted(found))
