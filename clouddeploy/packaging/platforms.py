"""Machines that an artifact is packed for, which need not be this one: Python, architecture, C library.

The rows are Lambda's (AWS Lambda Developer Guide, "Lambda runtimes": Python 3.12 and later run on
Amazon Linux 2023, earlier ones on Amazon Linux 2). Their C libraries are glibc 2.34 (AL2023 User
Guide, "Core glibc") and 2.26 (AL2 release notes); wheels say in their platform tag which they need (PEP 600).

Cloud Functions' are those of "The Python runtime" (Cloud Run documentation, supported base images): up
to Python 3.9 google-18, up to 3.13 google-22, then google-24, which are Ubuntu 18.04, 22.04 and 24.04
with glibc 2.27, 2.35 and 2.39 (packages.ubuntu.com, libc6).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from clouddeploy.errors import SpecError
from clouddeploy.spec import Architecture

MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
AMAZON_LINUX_2_BEFORE = (3, 12)
OLD_GLIBC = "2_17"
"""The newest platform tag at or below glibc 2.26 that uv knows."""
GLIBC = "2_34"
UBUNTU_GLIBC = (((3, 9), OLD_GLIBC), ((3, 13), "2_35"))
"""Up to which Python a function's base image has which C library."""
UBUNTU_NEWEST_GLIBC = "2_39"


@dataclass(frozen=True)
class Platform:
    """What wheels have to fit.

    Args:
        python: such as ``"3.13"``.
        architecture: ``"arm64"`` or ``"x86_64"``.
        glibc: newest C library that a wheel may ask for, as in platform tags, such as ``"2_34"``.
    """

    python: str
    architecture: Architecture
    glibc: str

    @classmethod
    def of_lambda(cls, python: str, architecture: str) -> Platform:
        """The machine of a Lambda function; a Python that is not known yet is taken to have the newest.

        Raises:
            SpecError: the Python or the architecture is none.
        """
        numbers = _numbers(python)
        if architecture not in get_args(Architecture):
            allowed = ", ".join(map(repr, get_args(Architecture)))
            raise SpecError(
                f"architecture is {architecture!r}", why=f"allowed: {allowed}", fix="choose one of them"
            )
        old = numbers < AMAZON_LINUX_2_BEFORE
        return cls(python, architecture, OLD_GLIBC if old else GLIBC)  # type: ignore[arg-type]

    @classmethod
    def of_functions(cls, python: str) -> Platform:
        """The machine of a Cloud Function; a Python that is not known yet is taken to have the newest.

        Raises:
            SpecError: the Python is none.
        """
        numbers = _numbers(python)
        found = (glibc for last, glibc in UBUNTU_GLIBC if numbers <= last)
        return cls(python, "x86_64", next(found, UBUNTU_NEWEST_GLIBC))

    @property
    def tag(self) -> str:
        """The platform in uv's words, such as ``"aarch64-manylinux_2_34"``."""
        return f"{MACHINES[self.architecture]}-manylinux_{self.glibc}"

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture} (glibc {self.glibc.replace('_', '.')})"


def _numbers(python: str) -> tuple[int, ...]:
    if not re.fullmatch(r"3\.\d{1,2}", python):
        raise SpecError(
            f"python is {python!r}", why="it is the function's Python, such as '3.13'", fix="write it so"
        )
    return tuple(map(int, python.split(".")))
