"""The containers' environments hold what the image has, and are made once."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from clouddeploy.emulator.plane.base_image import DISTRIBUTIONS, Installed, canonical, installed
from clouddeploy.emulator.plane.environment import (
    Environment,
    base_environment,
    cached,
    digest,
    link,
    site_of,
)
from clouddeploy.emulator.plane.requirements import Install, RequirementsFailed, missing, read


def test_every_listed_distribution_is_named_canonically() -> None:
    assert [canonical(name) for name in DISTRIBUTIONS] == sorted(DISTRIBUTIONS)


def test_what_is_installed_is_the_list_and_what_it_needs() -> None:
    names = {d.name for d in installed()}
    assert {"numpy", "packaging"} <= names
    assert names.isdisjoint({"moto", "pytest", "clouddeploy", "rich", "flask", "hypothesis"})


def test_an_environment_runs_the_hosts_numpy_and_has_no_pip() -> None:
    base = base_environment()
    code = "import numpy, sys; print(numpy.__version__, sys.prefix)\nimport pip"
    done = subprocess.run([base.python, "-I", "-c", code], capture_output=True, text=True, check=False)
    version = next(d.version for d in base.distributions if d.name == "numpy")
    assert done.stdout == f"{version} {base.folder}\n"
    assert "No module named 'pip'" in done.stderr


def test_a_namespace_folder_that_is_shared_is_linked_file_by_file(tmp_path: Path) -> None:
    root = tmp_path / "host"
    for name in ("shared/ours.py", "shared/theirs.py", "ours-1.dist-info/METADATA", "whole/__init__.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    files = ("shared/ours.py", "ours-1.dist-info/METADATA", "whole/__init__.py", "../../bin/ours")
    ours = Installed("ours", "1", root, files)
    link([ours], tmp_path / "venv")
    site = site_of(tmp_path / "venv")
    assert (site / "shared" / "ours.py").is_symlink()
    assert not (site / "shared" / "theirs.py").exists()
    assert (site / "whole").is_symlink()
    assert (site / "ours-1.dist-info").is_symlink()


def test_an_environment_is_built_once_by_whoever_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path))
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "done").write_text("")

    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(cached("key", build))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert set(found) == {tmp_path / "environments" / "key"}
    assert (found[0] / "done").exists()


def test_a_build_that_fails_leaves_nothing_and_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cached("key", fail)
    assert [p.name for p in (tmp_path / "environments").iterdir()] == ["key.lock"]
    assert cached("key", lambda folder: None).is_dir()


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        (["numpy"], []),
        (["NumPy>=1"], []),
        (["numpy>=999"], ["numpy>=999"]),
        (["made-up-name"], ["made-up-name"]),
        (["made-up-name; python_version < '3'"], []),
        (["-r other.txt", "./local.whl"], ["-r other.txt", "./local.whl"]),
        (["numpy @ https://example.org/numpy.whl"], ["numpy @ https://example.org/numpy.whl"]),
    ],
)
def test_only_what_the_image_does_not_satisfy_is_left_for_pip(lines: list[str], left: list[str]) -> None:
    base = Environment("key", Path("nowhere"), installed())
    assert missing(lines, base) == left


def test_a_requirements_file_is_read_without_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    assert read(path) == []
    path.write_bytes(b"\xef\xbb\xbf# first\n\nnumpy>=1  # why\nx @ https://example.org/x.whl#sha256=1\n")
    assert read(path) == ["numpy>=1", "x @ https://example.org/x.whl#sha256=1"]


def test_a_digest_depends_on_every_part_and_its_place() -> None:
    assert digest(["a", "b"]) != digest(["b", "a"]) != digest(["ab"])


def test_an_installation_that_nobody_needs_any_more_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "requirements.txt"
    path.write_text("--no-index\nmade-up-name\n")
    cancelled = threading.Event()
    cancelled.set()
    install = Install(path, Environment("key", Path("nowhere"), ()), lambda line: None, cancelled)
    with pytest.raises(RequirementsFailed):
        install.environment()
    assert [p.suffix for p in (tmp_path / "cache" / "environments").iterdir()] == [".lock"]
