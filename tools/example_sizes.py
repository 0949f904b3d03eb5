"""Write the table of README.md that tells how large each example is on each target.

``python tools/example_sizes.py`` packs every example that has a ``clouddeploy.toml``, for the targets that
have a size limit, and needs a package index once, for the wheels. A model that isn't trained yet is trained.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from clouddeploy import config
from clouddeploy.model import Model
from clouddeploy.packaging import sagemaker_artifact
from clouddeploy.packaging.aws_lambda import lambda_artifact
from clouddeploy.packaging.cloud_functions import function_source

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
START, END = "<!-- sizes -->", "<!-- end of sizes -->"
PYTHON = "3.13"
MB = 1_000_000


def examples() -> list[Path]:
    """The folders that hold an example."""
    return sorted(path.parent for path in (ROOT / "examples").glob("*/clouddeploy.toml"))


def model_of(folder: Path) -> Model:
    """The example's model, trained where that wasn't done yet."""
    found = config.load(folder)
    weights = folder / str(found.source.file)
    if not weights.is_file():
        subprocess.run([sys.executable, "train.py"], cwd=weights.resolve().parent, check=True)
    return found.model()


def sizes(model: Model) -> list[float]:
    """Megabytes of the zips for Lambda on arm64 and x86_64, of the source for Cloud Functions, and of the
    archive for SageMaker."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        written = [
            lambda_artifact(model, python=PYTHON, architecture="arm64").write(out / "arm64.zip"),
            lambda_artifact(model, python=PYTHON, architecture="x86_64").write(out / "x86_64.zip"),
            function_source(model, python=PYTHON).write(out / "source.zip"),
            sagemaker_artifact(model, compression="gzip").write(out / "model.tar.gz"),
        ]
        return [path.stat().st_size / MB for path in written]


def table() -> str:
    """One row for each example."""
    rows = [
        "| example | Lambda, arm64 | Lambda, x86_64 | Cloud Functions source | SageMaker |",
        "|---|---|---|---|---|",
    ]
    for folder in examples():
        cells = " | ".join(f"{size:.2f} MB" for size in sizes(model_of(folder)))
        rows.append(f"| `{folder.relative_to(ROOT)}` | {cells} |")
    return "\n".join(rows)


def main() -> None:
    page = README.read_text("utf-8")
    head, _, rest = page.partition(START)
    _, _, tail = rest.partition(END)
    README.write_text(f"{head}{START}\n{table()}\n{END}{tail}", "utf-8")


if __name__ == "__main__":
    main()
