"""The model's own best rate: nothing but its forward pass, at the batch size that suits it best.

Runs by itself (``python -m benchmarks.serving.forward NAME FOLDER``) so that nothing else is in the
process, with one thread, as each worker of a server has.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.serving.models import WORKLOADS

BATCHES = (1, 2, 4, 8, 16, 32)


def best_rate(name: str, folder: Path, processes: int, environ: dict[str, str]) -> float:
    """Examples a second of so many processes at once, as a server's workers are."""
    command = [sys.executable, "-m", "benchmarks.serving.forward", name, str(folder)]
    started = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) for _ in range(processes)]
    told = [process.communicate(timeout=300)[0] for process in started]
    return sum(float(text.split()[-1]) for text in told)


def main(name: str, folder: str, seconds: float = 0.5) -> None:
    """Print the best rate of the model in a folder."""
    import numpy as np

    from clouddeploy.runtime.decode import Request
    from clouddeploy.runtime.service import Service

    service = Service.load(Path(folder))
    inputs = np.asarray(WORKLOADS[name].inputs[:1], dtype=np.float32)
    best = 0.0
    for size in BATCHES:
        request = Request(np.repeat(inputs, size, axis=0), size)
        service.predict(request)
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            service.predict(request)
            count += size
        best = max(best, count / took)
    print(best)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
