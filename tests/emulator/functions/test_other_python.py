"""A function for another Python or machine runs with this one, and its log says so."""

from __future__ import annotations

import json
from importlib import metadata

from clouddeploy.emulator.functions.base_image import PYTHON
from tests.emulator.functions.conftest import Functions

CODE = "import numpy as np\ndef go(event, context):\n    return float(np.square(event['x']).sum())\n"
OTHER = "3.13" if PYTHON != "3.13" else "3.12"


def manifest(entries: list[str]) -> str:
    """What the packager lists."""
    return json.dumps({"python": OTHER, "architecture": "arm64", "entries": entries})


def test_packages_come_from_this_machine(functions: Functions) -> None:
    name = functions.make(
        CODE,
        files={
            "numpy/__init__.py": "raise ImportError('built for another Python')",
            "numpy-1.0.dist-info/METADATA": "",
            "six_of_another.py": "raise ImportError",
            "clouddeploy-packages.json": manifest(["numpy", "numpy-1.0.dist-info", "../escaping"]),
            "requirements.lock": "numpy==1.0\nsix==1.0  # of boto3\n",
        },
        Runtime=f"python{OTHER}",
        MemorySize=512,
    )
    answer = functions.ask(name, {"x": [1, 2, 3]})
    assert answer.body == 14.0
    first, second = answer.log.splitlines()[:2]
    assert f"THIS IS NOT Python {OTHER}" in first
    assert f"Python {PYTHON}" in first
    assert f"numpy {metadata.version('numpy')} (not 1.0)" in second


def test_pure_code_needs_no_manifest(functions: Functions) -> None:
    name = functions.make(Runtime=f"python{OTHER}")
    answer = functions.ask(name, [1])
    assert answer.body == [1]
    assert "THIS IS NOT" in answer.log


def test_another_architecture_is_told_too(functions: Functions) -> None:
    from clouddeploy.emulator.functions.base_image import architecture

    other = "arm64" if architecture() == "x86_64" else "x86_64"
    answer = functions.ask(functions.make(Architectures=[other]), [1])
    assert answer.body == [1]
    assert f"on {other}" in answer.log


def test_this_python_is_nothing_to_talk_about(functions: Functions) -> None:
    assert "clouddeploy" not in functions.ask(functions.make(), [1]).log
