"""Requirements for a machine that is not this one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clouddeploy.errors import ModelError, SpecError
from clouddeploy.packaging import wheels
from clouddeploy.packaging.platforms import Platform
from clouddeploy.testing.wheelhouse import Wheelhouse

ARM = Platform.of_lambda("3.13", "arm64")
INTEL = Platform.of_lambda("3.13", "x86_64")


def test_a_lock_holds_exact_versions_of_what_is_needed_in_turn(house: Wheelhouse) -> None:
    house.wheel("top", "1.5", {"top.py": ""}, requires=["inner>=2"])
    house.wheel("inner", "2.1", {"inner.py": ""})
    assert wheels.resolve(["Top>=1"], ARM) == ("inner==2.1", "top==1.5")


def test_nothing_required_needs_no_resolver(house: Wheelhouse) -> None:
    assert wheels.resolve([], ARM) == ()
    assert wheels.installed((), ARM).members == ()


def test_markers_are_those_of_the_function_not_of_this_machine(house: Wheelhouse) -> None:
    house.wheel("old", "1", {"old.py": ""})
    house.wheel("new", "1", {"new.py": ""})
    lines = ["old; python_version < '3.13'", "new; python_version >= '3.13'"]
    assert wheels.resolve(lines, ARM) == ("new==1",)
    arm = ["new; platform_machine == 'aarch64'", "old; platform_machine == 'x86_64'"]
    assert wheels.resolve(arm, ARM) == ("new==1",)
    assert wheels.resolve(arm, INTEL) == ("old==1",)


def test_each_architecture_gets_its_own_wheel(house: Wheelhouse) -> None:
    for machine in ("aarch64", "x86_64"):
        house.wheel("native", "1.0", {"native/core.so": machine}, tag=f"cp313-cp313-manylinux_2_28_{machine}")
    for platform, machine in ((ARM, b"aarch64"), (INTEL, b"x86_64")):
        tree = wheels.installed(wheels.resolve(["native"], platform), platform)
        assert (tree.folder / "native" / "core.so").read_bytes() == machine


def test_a_missing_wheel_names_package_version_and_the_platforms_that_have_one(house: Wheelhouse) -> None:
    house.wheel("native", "1.0", {"native.so": ""}, tag="cp313-cp313-manylinux_2_28_x86_64")
    house.wheel("native", "1.0", {"native.so": ""}, tag="cp313-cp313-win_amd64")
    with pytest.raises(ModelError, match=r"native 1\.0 has no wheel for Python 3\.13 on arm64") as caught:
        wheels.resolve(["native"], ARM)
    assert "manylinux_2_28_x86_64" in caught.value.why
    assert "win_amd64" in caught.value.why


def test_a_missing_wheel_for_the_python_names_the_pythons_that_have_one(house: Wheelhouse) -> None:
    house.wheel("native", "1.0", {"native.so": ""}, tag="cp311-cp311-manylinux_2_28_aarch64")
    with pytest.raises(ModelError, match=r"native 1\.0 has no wheel for Python 3\.13 on arm64") as caught:
        wheels.resolve(["native"], ARM)
    assert "cp311" in caught.value.why


def test_a_wheel_for_a_newer_c_library_than_the_functions_is_no_wheel_for_it(house: Wheelhouse) -> None:
    house.wheel("native", "1.0", {"native.so": ""}, tag="py3-none-manylinux_2_28_x86_64")
    assert wheels.resolve(["native"], INTEL) == ("native==1.0",)
    with pytest.raises(ModelError, match=r"has no wheel for Python 3\.11 on x86_64 \(glibc 2\.17\)"):
        wheels.resolve(["native"], Platform.of_lambda("3.11", "x86_64"))


def test_a_package_of_source_only_is_not_built_here(house: Wheelhouse) -> None:
    (house.folder / "sourceonly-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(ModelError, match=r"sourceonly .*no wheel") as caught:
        wheels.resolve(["sourceonly==1.0"], ARM)
    assert "from source" in caught.value.why


@pytest.mark.parametrize("line", ["missing-package", "top==9", "top<1"])
def test_what_cant_be_resolved_carries_the_resolvers_words(house: Wheelhouse, line: str) -> None:
    house.wheel("top", "1.5", {"top.py": ""})
    with pytest.raises(ModelError, match=r"can't be resolved for Python 3\.13 on arm64") as caught:
        wheels.resolve([line], ARM)
    assert re.match("[a-z-]+", line).group() in caught.value.why  # type: ignore[union-attr]
    assert "uv says" in caught.value.why


def test_a_resolution_stays_until_it_is_asked_anew(
    house: Wheelhouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.wheel("top", "1.0", {"top.py": ""})
    assert wheels.resolve(["top"], ARM) == ("top==1.0",)
    house.wheel("top", "2.0", {"top.py": ""})
    assert wheels.resolve(["top"], ARM) == ("top==1.0",)
    monkeypatch.setenv("CLOUDDEPLOY_RELOCK", "1")
    assert wheels.resolve(["top"], ARM) == ("top==2.0",)


def test_installed_wheels_come_from_the_cache_the_second_time(house: Wheelhouse, tmp_path: Path) -> None:
    path = house.wheel("top", "1.0", {"top.py": "x = 1\n"})
    first = wheels.installed(("top==1.0",), ARM)
    path.unlink()
    assert wheels.installed(("top==1.0",), ARM) == first
    assert [folder.name for folder in (tmp_path / "cache" / "wheels").iterdir()] == [first.folder.name]


def test_a_failed_installation_leaves_nothing_in_the_cache(house: Wheelhouse, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        wheels.installed(("gone==1.0",), ARM)
    assert list((tmp_path / "cache" / "wheels").iterdir()) == []


def test_native_programs_keep_their_execute_bits_and_all_else_has_none(house: Wheelhouse) -> None:
    house.wheel("tool", "1", {"tool/run": "#!/bin/sh\n", "tool/data": ""}, executable=["tool/run"])
    modes = {member.name: member.mode for member in wheels.installed(("tool==1",), ARM).members}
    assert modes["tool/run"] == 0o755
    assert modes["tool/data"] == 0o644


@pytest.mark.parametrize("python", ["3", "python3.13", "2.7", "3.13.1", ""])
def test_a_python_is_written_as_two_numbers(python: str) -> None:
    with pytest.raises(SpecError, match="python is"):
        Platform.of_lambda(python, "arm64")


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(SpecError, match="architecture is 'riscv'"):
        Platform.of_lambda("3.13", "riscv")


def test_a_python_newer_than_those_known_has_the_newest_system() -> None:
    assert Platform.of_lambda("3.19", "arm64").tag == ARM.tag == "aarch64-manylinux_2_34"
    assert Platform.of_lambda("3.11", "arm64").tag == "aarch64-manylinux_2_17"


def test_a_link_in_a_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match="'folder/link', which is no regular file"):
        wheels.indexed(tmp_path)
