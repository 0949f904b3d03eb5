"""Machines that an artifact is packed for, which need not be this one: Python, architecture, C library.

The rows are Lambda's (AWS Lambda Developer Guide, "Lambda runtimes": Python 3.12 and later run on
Amazon Linux 2023, earlier ones on Amazon Linux 2). Their C libraries are glibc 2.34 (AL2023 User
Guide, "Core glibc") and 2.26 (AL2 release notes); wheels say in their platform tag which they need (PEP 600).
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
        if not re.fullmatch(r"3\.\d{1,2}", python):
            raise SpecError(
                f"python is {python!r}", why="it is the function's Python, such as '3.13'", fix="write it so"
            )
        if architecture not in get_args(Architecture):
            allowed = ", ".join(map(repr, get_args(Architecture)))
            raise SpecError(
                f"architecture is {architecture!r}", why=f"allowed: {allowed}", fix="choose one of them"
            )
        old = tuple(map(int, python.split("."))) < AMAZON_LINUX_2_BEFORE
        return cls(python, architecture, OLD_GLIBC if old else GLIBC)  # type: ignore[arg-type]

    @property
    def tag(self) -> str:
        """The platform in uv's words, such as ``"aarch64-manylinux_2_34"``."""
        return f"{MACHINES[self.architecture]}-manylinux_{self.glibc}"

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture} (glibc {self.glibc.replace('_', '.')})"
