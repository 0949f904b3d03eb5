"""Building: what Google's build would refuse is refused, and only what is asked for can be imported."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clouddeploy.emulator.google.plane import BuildFailed
from clouddeploy.testing.wheelhouse import Wheelhouse
from tests.emulator.google_plane.conftest import Bench

MAIN = {"main.py": "def predict(request):\n    return 'ok'\n"}
CLICK = f"click=={importlib.metadata.version('click')}"


def _imports(python: Path, *names: str) -> list[bool]:
    """Which of some modules can be imported."""
    code = "import importlib.util as u, sys\nprint(*[u.find_spec(n) is not None for n in sys.argv[1:]])"
    answer = subprocess.run([python, "-I", "-c", code, *names], capture_output=True, text=True, check=True)
    return [word == "True" for word in answer.stdout.split()]


def test_a_source_without_main_is_refused_in_the_buildpacks_words(bench: Bench) -> None:
    with pytest.raises(BuildFailed, match=r"missing main\.py and GOOGLE_FUNCTION_SOURCE not specified"):
        bench.build({"other.py": ""})


def test_a_syntax_error_fails_the_build_with_its_line(bench: Bench) -> None:
    with pytest.raises(BuildFailed) as failed:
        bench.build({**MAIN, "app/model.py": "def f():\n    return (\n"})
    assert 'app/model.py", line 2' in failed.value.line
    assert "SyntaxError: '(' was never closed" in failed.value.line


@pytest.mark.parametrize("name", ["../outside.py", "/outside.py", "a/../../outside.py"])
def test_a_member_that_leaves_the_folder_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(BuildFailed, match="would leave its folder"):
        bench.build({**MAIN, name: "print(1)"})


def test_what_is_no_zip_and_what_links_are_refused(bench: Bench, tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 but nothing more")
    linked = tmp_path / "linked.zip"
    with zipfile.ZipFile(linked, "w") as archive:
        link = zipfile.ZipInfo("main.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    for path, words in ((broken, "isn't a zip archive"), (linked, "symbolic link")):
        with pytest.raises(BuildFailed, match=words):
            bench.plane.build(path, entry_point="predict", runtime="python311", log=bench.log)


def test_only_what_the_requirements_name_can_be_imported(bench: Bench) -> None:
    bare = bench.build(MAIN)
    assert _imports(bare.environment / "bin" / "python", "flask", "functions_framework") == [True, True]
    names = ("numpy", "boto3", "google.cloud.storage", "clouddeploy", "pytest")
    assert not any(_imports(bare.environment / "bin" / "python", *names[:2], *names[3:]))
    numpy = importlib.metadata.version("numpy")
    asked = bench.build({**MAIN, "requirements.txt": f"numpy=={numpy}  # the host's own\n"})
    assert _imports(asked.environment / "bin" / "python", "numpy", "boto3", "torch") == [True, False, False]
    assert bench.told(f"numpy-{numpy}")


def test_equal_sources_are_built_once(bench: Bench) -> None:
    assert bench.build(MAIN).root == bench.build(MAIN).root


def test_what_the_host_lacks_is_installed_by_pip(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = Wheelhouse(tmp_path)
    house.wheel("tiny", "1.0", {"tiny.py": "ANSWER = 42"}, requires=["six"])
    house.wheel("six", "99.0", {"six.py": ""})
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    built = bench.build({**MAIN, "requirements.txt": f"tiny==1.0\nsix==99.0\n{CLICK}\n"})
    assert _imports(built.environment / "bin" / "python", "tiny", "six", "flask", "numpy") == [True] * 3 + [
        False
    ]


def test_conflicts_and_missing_versions_fail_the_build(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = Wheelhouse(tmp_path)
    house.wheel("first", "1.0", {"first.py": ""}, requires=["third<2"])
    house.wheel("third", "1.0", {"third.py": ""})
    house.wheel("third", "2.0", {"third.py": ""})
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(BuildFailed, match="conflict") as failed:
        bench.build({**MAIN, "requirements.txt": "first==1.0\nthird==2.0\n"})
    assert failed.value.line.startswith("ERROR: ")
    with pytest.raises(BuildFailed, match="No matching distribution found for nowhere==3"):
        bench.build({**MAIN, "requirements.txt": "nowhere==3\n"})


def test_another_python_is_told_loudly_and_its_pins_are_stood_in_for(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = 12 if sys.version_info.minor == 13 else 13
    built = bench.build({**MAIN, "requirements.txt": "numpy==99.0\n"}, runtime=f"python3{other}")
    assert bench.told(f"THIS IS NOT Python 3.{other}")
    assert bench.told(f"numpy {importlib.metadata.version('numpy')} (not 99.0)")
    assert _imports(built.environment / "bin" / "python", "numpy") == [True]
    Wheelhouse(tmp_path).wheel("theirs", "1.0", {"theirs.py": ""}, tag=f"cp3{other}-none-any")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(BuildFailed, match=f"can be installed for Python 3.{other}"):
        bench.build({**MAIN, "requirements.txt": "theirs==1.0\n"}, runtime=f"python3{other}")
