"""``code/requirements.txt``, installed when a container starts, as the inference toolkit does.

"Use a requirements.txt file" (sagemaker-inference toolkit and PyTorch serving container): pip installs
it on top of the image. What the image has already is left alone; the rest goes into an environment of
its own, cached by the digest of image and requirements. pip runs with the user's own ``PIP_*``
settings. Links to the host's distributions never stand in pip's way: it is first asked what it would
install, those links are dropped, and exactly that is installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from clouddeploy.emulator.plane.base_image import canonical
from clouddeploy.emulator.plane.environment import Environment, cached, digest, link, site_of

PASSED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
PIP_TIMEOUT_S = 1800


class RequirementsFailed(Exception):
    """pip could not install them; the message holds its last lines."""


def read(path: Path) -> list[str]:
    """The requirement lines of a file, comments left out; a missing file has none."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [
        line for line in (text.split(" #")[0].strip() for text in lines) if line and not line.startswith("#")
    ]


def missing(lines: Sequence[str], base: Environment) -> list[str]:
    """Those of `lines` that the base environment doesn't satisfy; what isn't PEP 508 counts as missing."""
    from packaging.requirements import InvalidRequirement, Requirement

    have = {d.name: d.version for d in base.distributions}
    left = []
    for line in lines:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            left.append(line)
            continue
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        version = have.get(canonical(wanted.name))
        satisfied = version is not None and wanted.specifier.contains(version, prereleases=True)
        if not satisfied or wanted.url or wanted.extras:
            left.append(line)
    return left


def environment_for(path: Path, base: Environment, log: Callable[[str], None]) -> Environment:
    """The environment that satisfies the requirements file at `path`.

    Raises:
        RequirementsFailed: pip refused.
    """
    lines = missing(read(path), base)
    if not lines:
        return base
    key = digest([base.key, *sorted(lines)])
    folder = cached(key, lambda building: _build(building, path, base, log))
    return replace(base, key=key, folder=folder)


def _build(folder: Path, path: Path, base: Environment, log: Callable[[str], None]) -> None:
    link(base.distributions, folder)
    report = folder / "pip-report.json"
    _pip(folder, ["--dry-run", "--report", str(report), "--requirement", str(path)], path.parent, log)
    chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = {canonical(item["metadata"]["name"]) for item in chosen}
    site = site_of(folder)
    for distribution in base.distributions:
        if distribution.name in names:
            for entry in distribution.entries():
                if (site / entry).is_symlink():
                    (site / entry).unlink()
    pins = [f"{item['metadata']['name']} @ {item['download_info']['url']}" for item in chosen]
    if pins:
        _pip(folder, ["--no-deps", *pins], path.parent, log)


def _pip(folder: Path, arguments: list[str], where: Path, log: Callable[[str], None]) -> None:
    kept = {
        k: v
        for k, v in os.environ.items()
        if k in PASSED or k.startswith("PIP_") or k.lower().endswith("_proxy")
    }
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    command += ["--disable-pip-version-check", "--no-input", "--no-compile", *arguments]
    try:
        done = subprocess.run(
            command, cwd=where, env=kept, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=PIP_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RequirementsFailed(f"pip did not finish within {PIP_TIMEOUT_S} seconds") from error
    lines = done.stdout.splitlines()
    for line in lines:
        log(line)
    if done.returncode:
        raise RequirementsFailed("\n".join(lines[-8:]))
