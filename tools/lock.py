"""Resolve `requirements.lock` anew from pyproject.toml.

The lock is complete, for every supported Python and platform. torch is pinned by its plain version
and its GPU libraries are left out: they come with torch itself where its build needs them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_TO_TORCH = re.compile(r"(nvidia-|cuda-|triton\b|torch==)")
TORCH = "torch==2.13.0"


def main() -> None:
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "pyproject.toml",
        "--extra",
        "dev",
        "--extra",
        "serve",
    ]
    command += ["--universal", "--python-version", "3.11", "--no-header", "--no-annotate", "--quiet"]
    for folder in os.environ.get("PIP_FIND_LINKS", "").split():
        command += ["--find-links", folder]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = [line for line in found.splitlines() if line and not LEFT_TO_TORCH.match(line)]
    (ROOT / "requirements.lock").write_text("\n".join(sorted([*lines, TORCH])) + "\n")


if __name__ == "__main__":
    main()
