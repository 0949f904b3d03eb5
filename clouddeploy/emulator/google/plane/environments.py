"""The environment of a function: functions-framework and what its ``requirements.txt`` names, nothing else.

Google's build runs ``pip install -r requirements.txt`` and adds functions-framework where it isn't named
("Specify dependencies in Python", Cloud Run functions). Here distributions that this machine has at a
wanted version are linked, which takes no network; the rest is installed by pip. Where the function's
Python isn't this one, what is pinned for that one may not run here: this machine's own versions stand in
as far as it has them, which is told.
"""

from __future__ import annotations

import stat
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.emulator.google.plane import framework
from clouddeploy.emulator.google.plane.spec import Log
from clouddeploy.emulator.google.plane.wanted import (
    Choice,
    Find,
    Wanted,
    choose,
    from_folder,
    from_host,
    read,
)
from clouddeploy.emulator.plane.base_image import canonical
from clouddeploy.emulator.plane.environment import cached, digest, link, site_of
from clouddeploy.emulator.plane.pip import Pip, RequirementsFailed, install_over

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
FRAMEWORK = "functions-framework"
VERSIONS = {f"python3{minor}": f"3.{minor}" for minor in range(7, 30)}
"""The runtimes' names and the Python that they have ("Runtime support", Cloud Run functions)."""
REQUIREMENTS = "requirements.txt"


def environment_for(root: Path, runtime: str, log: Log, cancelled: threading.Event) -> Path:
    """The folder of the environment that a function's source in `root` asks for.

    Raises:
        RequirementsFailed: they contradict each other, or can't be had.
    """
    python = VERSIONS.get(runtime, PYTHON)
    if python != PYTHON:
        log("WARNING", f"clouddeploy: THIS IS NOT Python {python}: the embedded cloud runs it with {PYTHON}.")
    wanted = read(root / REQUIREMENTS)
    plain = _with_framework(wanted)
    at_hand = sources(log)
    choice = choose(plain, at_hand)
    if not choice.missing and not wanted.opaque:
        return _linked(choice, log)
    if python != PYTHON and not wanted.opaque:
        found = stand_ins(plain, at_hand, python, log)
        if found is not None:
            return found
    try:
        return _installed(root, wanted, choice, log, cancelled)
    except RequirementsFailed:
        if python == PYTHON:
            raise
        _verify(root, python, log, cancelled)
        raise RequirementsFailed(
            f"this can be installed for Python {python}, but not for the embedded cloud's own {PYTHON}"
        ) from None


def sources(log: Log) -> tuple[Find, ...]:
    """Where distributions are taken from: functions-framework's environment first, then this machine's.

    Raises:
        RequirementsFailed: functions-framework could not be installed.
    """
    return from_folder(framework.prepare(lambda line: log("INFO", line))), from_host


def stand_ins(wanted: Sequence[Requirement], at_hand: Sequence[Find], python: str, log: Log) -> Path | None:
    """This machine's own versions in place of those for another Python; None where it lacks one."""
    choice = choose([_any_version(r) for r in wanted], at_hand)
    if choice.missing:
        return None
    told = ", ".join(f"{name} {version} (not {pin})" for name, version, pin in _differing(wanted, choice))
    log(
        "WARNING",
        f"clouddeploy: this machine's own versions stand in for those pinned for Python {python}, which are "
        f"not looked for: {told}",
    )
    return _linked(choice, log)


def _with_framework(wanted: Wanted) -> tuple[Requirement, ...]:
    from packaging.requirements import Requirement

    if wanted.names(FRAMEWORK):
        return wanted.requirements
    return (*wanted.requirements, Requirement(f"{FRAMEWORK}=={framework.VERSION}"))


def _any_version(requirement: Requirement) -> Requirement:
    from packaging.requirements import Requirement as Parsed

    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return Parsed(f"{requirement.name}{extras}")


def _linked(choice: Choice, log: Log) -> Path:
    installed = choice.installed()
    told = [f"{d.name}=={d.version} {d.root}" for d in installed]
    key = digest(["cloud-functions", sys.base_prefix, sys.version, *told])

    def build(folder: Path) -> None:
        link(installed, folder)
        write_scripts(folder, choice.chosen.values())

    log("DEFAULT", f"Linked from this machine: {', '.join(f'{d.name}-{d.version}' for d in installed)}")
    return cached(key, build)


def _installed(root: Path, wanted: Wanted, choice: Choice, log: Log, cancelled: threading.Event) -> Path:
    installed = choice.installed()
    text = (root / REQUIREMENTS).read_text(encoding="utf-8-sig")
    told = [f"{d.name}=={d.version} {d.root}" for d in installed]
    key = digest(["cloud-functions", sys.base_prefix, sys.version, text, *told])
    arguments = ["--requirement", REQUIREMENTS]
    if not wanted.names(FRAMEWORK):
        arguments.append(f"{FRAMEWORK}=={framework.VERSION}")

    def build(folder: Path) -> None:
        pip = Pip(folder, root, lambda line: log("DEFAULT", line), cancelled)
        install_over(installed, pip, arguments)
        write_scripts(folder, metadata.distributions(path=[str(site_of(folder))]))

    return cached(key, build)


def _verify(root: Path, python: str, log: Log, cancelled: threading.Event) -> None:
    """Ask pip whether the requirements can be had for the function's own Python."""
    with tempfile.TemporaryDirectory() as empty:
        folder = framework.prepare()
        pip = Pip(folder, root, lambda line: log("DEFAULT", line), cancelled)
        pip.install(
            "--dry-run", "--python-version", python, "--ignore-requires-python", "--only-binary", ":all:",
            "--target", empty, "--requirement", REQUIREMENTS,
        )  # fmt: skip


def _differing(wanted: Sequence[Requirement], choice: Choice) -> list[tuple[str, str, str]]:
    found = []
    for requirement in wanted:
        chosen = choice.chosen.get(canonical(requirement.name))
        if chosen is not None and not requirement.specifier.contains(chosen.version, prereleases=True):
            found.append((requirement.name, chosen.version, str(requirement.specifier).removeprefix("==")))
    return found


def write_scripts(folder: Path, distributions: Iterable[metadata.Distribution]) -> None:
    """Give an environment the commands of its distributions, where it has none of that name."""
    for distribution in distributions:
        for point in distribution.entry_points.select(group="console_scripts"):
            script = folder / "bin" / point.name
            if script.exists() or "/" in point.name:
                continue
            # A linked environment is built beside its final place: the interpreter is found by the script.
            script.write_text(
                "#!/bin/sh\n"
                f"'''exec' \"$(dirname \"$0\")/python\" -P -s \"$0\" \"$@\"\n' '''\n"
                f"import sys\nfrom {point.module} import {point.attr.split('.')[0]}\n"
                f"sys.exit({point.attr}())\n",
                encoding="utf-8",
            )
            script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
