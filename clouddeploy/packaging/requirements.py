"""Requirement lines: parsed, normalised, merged with a provider's pins, and tried by pip's own resolver."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.errors import ModelError
from clouddeploy.packaging.ending import end

if TYPE_CHECKING:
    from packaging.requirements import Requirement

RESOLVE_TIMEOUT_S = 120.0
PIP_LINES = 8


def normalised(requirements: Iterable[str], *, pins: Iterable[str] = ()) -> tuple[str, ...]:
    """One line a package, in one spelling, sorted; a provider's `pins` merged in.

    Comments and empty lines are dropped. Versions asked for twice are joined (``>=1`` and ``<2``).

    Raises:
        ModelError: a line is no requirement (PEP 508), or two can't both hold.
    """
    merged: dict[tuple[str, str], Requirement] = {}
    for origin, lines in (("requirements", requirements), ("the provider's pins", pins)):
        for number, line in enumerate(lines, start=1):
            one = _parse(line, number, origin)
            if one is None:
                continue
            key = (one.name, str(one.marker or ""))
            merged[key] = _join(merged[key], one) if key in merged else one
    return tuple(sorted(map(str, merged.values())))


def _parse(line: str, number: int, origin: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    text = line.strip() if line.lstrip().startswith("#") else line.split(" #")[0].strip()
    if not text or text.startswith("#"):
        return None
    why = ""
    if text.startswith("-"):
        why = "pip's own options can't be given here"
    elif "\n" in text or "\r" in text:
        why = "it holds a line break"
    else:
        try:
            found = Requirement(text)
        except InvalidRequirement as error:
            why = str(error).splitlines()[0]
        else:
            found.name = canonicalize_name(found.name)
            found.extras = {canonicalize_name(extra) for extra in found.extras}
            return found
    raise ModelError(
        f"line {number} of {origin} can't be used: {text!r}",
        why=why,
        fix="write one requirement a line, such as 'scikit-learn>=1.5,<2'",
    )


def _join(first: Requirement, second: Requirement) -> Requirement:
    from packaging.requirements import Requirement

    joined = Requirement(str(first))
    joined.extras = first.extras | second.extras
    joined.specifier = first.specifier & second.specifier
    joined.url = first.url or second.url
    exact = [
        s.version for s in joined.specifier if s.operator in ("==", "===") and not s.version.endswith(".*")
    ]
    impossible = any(not joined.specifier.contains(version, prereleases=True) for version in exact)
    urls = {r.url for r in (first, second) if r.url}
    if impossible or len(urls) > 1 or (urls and joined.specifier):
        raise ModelError(
            f"the requirements {str(first)!r} and {str(second)!r} can't both hold",
            why="no version satisfies both"
            if not urls
            else "one of them names a file, which has one version only",
            fix="ask for one version, or leave it to the target's own pin",
        )
    return joined


def check_requirements(
    requirements: Sequence[str], *, python_version: str = "", timeout_s: float = RESOLVE_TIMEOUT_S
) -> tuple[str, ...]:
    """Let pip's resolver try `requirements` without installing anything.

    Where all of them are met by what is installed here, they are known to exist, and pip isn't run.

    pip takes its index from its own configuration and ``PIP_*`` variables, as it does for the user.
    With the `python_version` (such as ``"3.12"``) of another Python than this one only wheels count.

    Returns:
        Warnings: why nothing could be tried, where pip isn't installed.

    Raises:
        ModelError: they can't be resolved; carries pip's last lines. Or pip has no answer after
            `timeout_s` seconds.
    """
    lines = normalised(requirements)
    if not lines or (not python_version and all(map(_is_met_here, lines))):
        return ()
    if importlib.util.find_spec("pip") is None:
        return ("the requirements were not tried: pip isn't installed beside clouddeploy",)
    with tempfile.TemporaryDirectory(prefix="clouddeploy-") as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
        command += ["--dry-run", "--ignore-installed", "--quiet", "--requirement", str(listed)]
        command += _for_python(python_version, folder)
        status, told = _run_bounded(command, timeout_s, ", ".join(lines))
    if status:
        raise ModelError(
            f"the requirements can't be resolved: {', '.join(lines)}",
            why="pip says: " + " | ".join(told[-PIP_LINES:]),
            fix="correct the names and versions; try them with: pip install --dry-run …",
        )
    return ()


def _is_met_here(line: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    requirement = Requirement(line)
    try:
        return not requirement.url and requirement.specifier.contains(
            version(requirement.name), prereleases=True
        )
    except PackageNotFoundError:
        return False


def _for_python(version: str, folder: str) -> list[str]:
    if version in ("", "{}.{}".format(*sys.version_info[:2])):
        return []
    # pip resolves for another Python only with wheels, and only for a folder of their own
    return ["--python-version", version, "--only-binary=:all:", "--target", str(Path(folder) / "target")]


def _run_bounded(command: Sequence[str], timeout_s: float, asked: str) -> tuple[int, list[str]]:
    """Exit status and lines of `command`; it and its children are ended after `timeout_s` seconds."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"},
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"pip did not resolve the requirements in {timeout_s:g} s: {asked}",
                why="the index doesn't answer, or so loose requirements leave pip too many versions to try",
                fix="pin the versions ('name==1.2.3'), or check the network",
            ) from error
        finally:
            end(process)
    return process.returncode, [
        line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()
    ]
