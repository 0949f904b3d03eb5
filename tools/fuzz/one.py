"""One harness under libFuzzer, by atheris: ``python -m tools.fuzz.one NAME FOLDER [libFuzzer's options]``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]
import numpy as np  # noqa: F401  (before what is instrumented: it is no target, and slow when it is one)

with atheris.instrument_imports(include=["clouddeploy", "tools", "json", "csv", "jwt"]):
    from tools.fuzz.found import FOUND
    from tools.fuzz.seeds import SEEDS, WORDS
    from tools.fuzz.targets import TARGETS


def main(name: str, folder: Path, options: list[str]) -> None:
    """Run until libFuzzer ends the process; what it finds worth keeping goes to `folder`."""
    warnings.simplefilter("ignore")
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate((*SEEDS[name], *FOUND.get(name, ()))):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in WORDS)
    (folder / "words").write_text("".join(f'"{word}"\n' for word in escaped))
    own = [f"-dict={folder / 'words'}", f"-artifact_prefix={folder}/", str(folder / "corpus")]
    atheris.Setup([sys.argv[0], *options, *own], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
