"""The Lambda zip of the digits model: its size, and the seconds to make it with a warm cache.

    python -m benchmarks.lambda_package             # needs a package index once, for the wheels
    python -m benchmarks.lambda_package --peer DIR  # DIR: a node_modules with osls (or serverless) and
                                                    # serverless-python-requirements

The peer packages the same requirements with both of its caches warm; runs alternate, each in a process
of its own that starts, packages and ends. Neither converts the model.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import alternate, seconds, verdict
from clouddeploy.model import Model
from clouddeploy.packaging.aws_lambda import DIRECT_BYTES, LambdaArtifact, lambda_artifact

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits"
MB = 1_000_000
ZIP_GOAL_MB = 60
WARM_GOAL_S = 2.0
PEER_GOAL = 10.0
OURS = """
import sys
from pathlib import Path
from clouddeploy.model import Model
from clouddeploy.packaging import lambda_artifact
weights, handler, python, out = sys.argv[1:]
model = Model.from_file(weights, handler=handler, check=False)
lambda_artifact(model, python=python, architecture="arm64").write(Path(out))
"""
SERVERLESS = """service: digits
provider:
  name: aws
  runtime: python{python}
  architecture: {architecture}
functions:
  predict:
    handler: handler.predict
plugins:
  - serverless-python-requirements
custom:
  pythonRequirements:
    pythonBin: {interpreter}
    dockerizePip: false
    slim: true
    useStaticCache: true
    useDownloadCache: true
    pipCmdExtraArgs:
      - '--platform={tag}'
      - '--only-binary=:all:'
      - '--python-version={python}'
      - '--ignore-requires-python'
"""


def main() -> None:
    """Run it and print sizes and ratios."""
    sys.path.insert(0, str(DIGITS))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default="3.13")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", type=Path, help="node_modules with osls and serverless-python-requirements")
    asked = parser.parse_args(None if __name__ == "__main__" else [])
    model = digits()
    converting = seconds(lambda: model.to("onnx"))
    print(f"conversion to ONNX, once in the life of a model: {converting:.2f} s (counted below)")
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        for architecture in ("arm64", "x86_64"):
            measured(model, asked.python, architecture, Path(place), asked.rounds, converting)
        if asked.peer:
            against(model, asked.python, Path(place), asked.peer, max(2, asked.rounds // 2))


def digits() -> Model:
    """The example's model; weights that were hardly trained have the same size."""
    from train import train

    trained = train(epochs=1)
    return Model.from_torch(
        trained.net, example_input=trained.images[:1], handler=DIGITS / "handler.py", check=False
    )


def measured(
    model: Model, python: str, architecture: str, place: Path, rounds: int, converting: float
) -> None:
    """Sizes of the zip, and seconds to package with wheels and resolution in the cache."""
    out = place / "function.zip"
    artifact = lambda_artifact(model, python=python, architecture=architecture)
    artifact.write(out)
    size = out.stat().st_size
    print(f"\ndigits on Python {python}, {architecture}: {', '.join(artifact.lock)}")
    direct = "fits" if size <= DIRECT_BYTES else "does not fit"
    print(f"  unpacked {artifact.unpacked_bytes / MB:.1f} MB in {len(artifact.members)} files")
    print(f"  zipped {size / MB:.1f} MB, which {direct} a direct upload")
    for name, part in artifact.largest:
        print(f"    {name:28} {part / MB:8.1f} MB")
    took = alternate({"warm": lambda: seconds(lambda: package(model, python, architecture, out))}, rounds)
    warm = took["warm"] + converting
    verdict("zipped size in MB", size / MB, f"under {ZIP_GOAL_MB}", size < ZIP_GOAL_MB * MB)
    verdict("packaging with a warm cache in s", warm, f"under {WARM_GOAL_S:g}", warm < WARM_GOAL_S)


def package(model: Model, python: str, architecture: str, out: Path) -> LambdaArtifact:
    """From the model to the zip; the ONNX form is made once in the life of a model."""
    artifact = lambda_artifact(model, python=python, architecture=architecture)
    artifact.write(out)
    return artifact


def against(model: Model, python: str, place: Path, modules: Path, rounds: int) -> None:
    """Ours against ``osls package`` with serverless-python-requirements, on the same requirements."""
    artifact = lambda_artifact(model, python=python, architecture="arm64")
    service = place / "service"
    service.mkdir()
    (service / "node_modules").symlink_to(modules.resolve())
    (service / "handler.py").write_text("def predict(event, context):\n    return event\n")
    (service / "requirements.txt").write_text("".join(f"{line}\n" for line in artifact.lock))
    (service / "serverless.yml").write_text(
        SERVERLESS.format(
            python=python, architecture="arm64", interpreter=sys.executable, tag="manylinux_2_28_aarch64"
        )
    )

    weights = artifact.model.files[0].path

    def ours() -> None:
        arguments = [weights, DIGITS / "handler.py", python, place / "function.zip"]
        subprocess.run([sys.executable, "-c", OURS, *arguments], check=True, cwd=ROOT)

    def peer() -> None:
        shutil.rmtree(service / ".serverless", ignore_errors=True)
        binary = modules / ".bin" / ("osls" if (modules / ".bin" / "osls").exists() else "serverless")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        home = {"HOME": str(place), "XDG_CACHE_HOME": str(place / "xdg"), "PATH": path}
        keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "eu-west-1"}
        environment = {**os.environ, **home, **keys}
        command = [binary, "package"]
        done = subprocess.run(command, cwd=service, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the peer failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    print("\nagainst serverless-python-requirements (its caches warm, too)")
    peer()
    took = alternate(
        {
            "ours": lambda: seconds(ours),
            "peer": lambda: seconds(peer),
        },
        rounds,
    )
    ratio = took["peer"] / took["ours"]
    print(f"  ours {took['ours']:.2f} s, peer {took['peer']:.2f} s")
    verdict("times faster than the peer", ratio, f"at least {PEER_GOAL:g}", ratio >= PEER_GOAL)


if __name__ == "__main__":
    main()
