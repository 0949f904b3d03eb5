"""What SageMaker's PyTorch inference image has installed, as far as this host has it too.

Sources, as read in November 2026: AWS Deep Learning Containers, repository aws/deep-learning-containers,
``pytorch/inference/docker/2.6/py3/Dockerfile.cpu`` at commit 02af7560 (the ``ec2`` and ``sagemaker``
stages), and what that file installs for TorchServe, repository pytorch/serve, ``requirements/common.txt``
at commit 077fe914. The image's torch is 2.6.0 on Python 3.12; here the host's own Python and versions run,
which is an approximation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

IMAGE = "pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
DISTRIBUTIONS = (
    "awscli", "boto3", "captum", "charset-normalizer", "cryptography", "cython", "future", "h5py", "idna",
    "ipython", "mkl", "mkl-include", "numpy", "opencv-python", "packaging", "pandas", "parso", "pillow",
    "psutil", "pyopenssl", "pytz", "requests", "s3transfer", "sagemaker-inference",
    "sagemaker-pytorch-inference", "scikit-learn", "scipy", "sentencepiece", "setuptools", "torch",
    "torch-model-archiver", "torchaudio", "torchdata", "torchserve", "torchtext", "torchvision", "tqdm",
    "types-python-dateutil", "tzdata", "urllib3", "wheel",
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


def installed(names: Iterable[str] = DISTRIBUTIONS) -> tuple[Installed, ...]:
    """Distributions and their dependencies, as found on this host, sorted by name."""
    found: dict[str, Installed] = {}
    waiting = list(names)
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
