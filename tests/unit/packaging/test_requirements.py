from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.errors import ModelError
from clouddeploy.packaging import check_requirements, normalised

SOME = ["numpy>=1.26", "Scikit_Learn < 2", "torch", "a-b.c==1.0", "x[Extra]>1; python_version>'3'"]
LINES = st.lists(st.sampled_from(SOME))


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    """A wheel of nothing but its metadata."""
    info = f"{name}-{version}.dist-info"
    rows = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {n}" for n in needs),
    ]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join(rows) + "\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder of wheels that pip takes for the only index there is."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    wheel(tmp_path, "tree", "1.0", "leaf<2")
    wheel(tmp_path, "leaf", "1.5")
    wheel(tmp_path, "leaf", "2.0")
    return tmp_path


@given(lines=LINES, order=st.randoms(use_true_random=False))
def test_lines_come_out_in_one_spelling_and_order_whatever_order_they_came_in(lines, order):
    expected = normalised(lines)
    order.shuffle(lines)
    assert normalised(lines) == expected == normalised(expected)
    assert list(expected) == sorted(expected)


def test_comments_and_repeats_vanish_and_ranges_are_joined():
    assert normalised(["# mine", "", "NumPy>=1.26 # fast", "numpy<3", "Flask_Cors"]) == (
        "flask-cors",
        "numpy<3,>=1.26",
    )


def test_pins_are_merged_in():
    assert normalised(["scikit-learn", "torch>=2"], pins=["torch==2.6.0"]) == (
        "scikit-learn",
        "torch==2.6.0,>=2",
    )


@pytest.mark.parametrize(
    ("mine", "pins"),
    [
        (["torch==2.5.0"], ["torch==2.6.0"]),
        (["torch>=2.7"], ["torch==2.6.0"]),
        (["numpy==1.26", "numpy==2.0"], []),
        (["torch @ https://example.com/torch.whl"], ["torch==2.6.0"]),
    ],
)
def test_pins_that_contradict_are_an_error_that_shows_both(mine, pins):
    with pytest.raises(ModelError, match="can't both hold") as error:
        normalised(mine, pins=pins)
    assert all(line.split("@")[0].strip() in str(error.value) for line in [*mine, *pins])


@pytest.mark.parametrize(
    "line",
    ["numpy>=", "-r other.txt", "--index-url https://example.com", "./folder", "numpy==1.0\nevil", "a b"],
)
def test_a_line_that_is_no_requirement_is_named_with_its_number(line):
    with pytest.raises(ModelError, match=r"line 2 of requirements can't be used"):
        normalised(["numpy", line])


def test_what_can_be_resolved_passes(index):
    assert check_requirements(["tree", "leaf>1"]) == ()


@pytest.mark.parametrize("lines", [["nothing-of-that-name"], ["tree", "leaf==2.0"], ["leaf>9"]])
def test_what_can_not_be_resolved_is_an_error_with_pips_own_words(index, lines):
    with pytest.raises(ModelError, match="can't be resolved") as error:
        check_requirements(lines)
    assert "pip says: " in error.value.why
    assert "ERROR" in error.value.why


def test_nothing_to_resolve_starts_no_process(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert check_requirements([]) == ()
    assert check_requirements(["# only a comment"]) == ()


def test_another_python_is_resolved_for_with_wheels(index):
    assert check_requirements(["tree"], python_version="3.13") == ()


def test_a_resolver_that_does_not_end_is_ended(index, tmp_path, monkeypatch):
    """A stand-in for the interpreter, which pip would run in."""
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nsleep 60 & wait\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    with pytest.raises(ModelError, match=r"did not resolve the requirements in 0\.1 s: tree"):
        check_requirements(["tree"], timeout_s=0.1)
