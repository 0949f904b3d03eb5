"""Start-up: `import clouddeploy` and `clouddeploy --help` against importing the SageMaker SDK's image table.

Bytecode caches are on and warm for both, each run is a fresh interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from benchmarks.measure import alternate, seconds, verdict

PEER = "import sagemaker.core.image_uris"


def main(runs: int = 5) -> None:
    """Print both ratios; the goal is a tenth at the most."""
    with tempfile.TemporaryDirectory() as cache:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env |= {"AWS_DEFAULT_REGION": "eu-west-1", "PYTHONPYCACHEPREFIX": cache}

        def run(*arguments: str) -> float:
            command = [sys.executable, *arguments]
            return seconds(lambda: subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL))

        acts = {
            "import": lambda: run("-c", "import clouddeploy"),
            "help": lambda: run("-m", "clouddeploy", "--help"),
            "peer": lambda: run("-c", PEER),
            "python": lambda: run("-c", "pass"),
        }
        for act in acts.values():
            act()
        found = alternate(acts, runs)
    print(f"medians of {runs}: " + ", ".join(f"{name} {value:.3f} s" for name, value in found.items()))
    for name in ("import", "help"):
        ratio = found[name] / found["peer"]
        verdict(f"clouddeploy {name} / `{PEER}`", ratio, "at most 0.1", ratio <= 0.1)


if __name__ == "__main__":
    main()
