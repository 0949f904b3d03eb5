"""Swap a model's version and restart the workers, again and again, while clients count what goes wrong.

python -m benchmarks.serving.swaps [--swaps 100] [--restarts 10] [--workers 2] [--clients 8]
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.testing.served import Clients, ServerProcess, until, write_model


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Args:
        right: requests that were answered as they should be.
        wrong: what was lost or wrong, a line each.
        versions: that answered something.
        seconds: it took.
    """

    right: int
    wrong: tuple[str, ...]
    versions: int
    seconds: float


def run(*, swaps: int, restarts: int, workers: int = 2, clients: int = 8, tell: bool = False) -> Outcome:
    """Serve, ask without pause, swap and restart; every third swap replaces the folder of one version."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clouddeploy-swaps-") as folder:
        model = Path(folder) / "double"
        write_model(model / "1", 1)
        with (
            ServerProcess(Path(folder), workers=workers, settle_s=0.05, watch_s=0.05) as server,
            Clients(server.url, clients) as asking,
        ):
            number = version = 1
            for turn in range(1, swaps + 1):
                number += 1
                version += turn % 3 != 0
                write_model(model / str(version), number)
                _answers(server, number, workers)
                if restarts and turn % max(1, swaps // restarts) == 0:
                    _restart(server, workers)
                    _answers(server, number, workers)
                if tell:
                    print(f"\r{turn} swaps, {sum(asking.right.values())} right", end="", flush=True)
        if tell:
            print()
        return Outcome(
            sum(asking.right.values()), tuple(asking.wrong), len(asking.right), time.monotonic() - began
        )


def _answers(server: ServerProcess, number: int, workers: int) -> None:
    """Wait until new connections, one after the other, are answered by the new version alone."""
    wanted = f"release-{number}"

    def all_new() -> bool:
        found = {
            server.call("/predict", {"input": [1, 2]}).headers.get("x-clouddeploy-model")
            for _ in range(4 * workers)
        }
        return found == {wanted}

    until(all_new, f"{wanted} answers")


def _restart(server: ServerProcess, workers: int) -> None:
    before = server.workers()
    server.signal(signal.SIGHUP)
    until(lambda: len(server.workers()) == workers and not server.workers() & before, "the workers are new")


def main() -> None:
    """Run it as often as the issue asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=8)
    found = parser.parse_args()
    outcome = run(
        swaps=found.swaps, restarts=found.restarts, workers=found.workers, clients=found.clients, tell=True
    )
    print(
        f"{found.swaps} swaps and {found.restarts} restarts in {outcome.seconds:.0f} s: "
        f"{outcome.right} right by {outcome.versions} versions, {len(outcome.wrong)} wrong or lost"
    )
    for line in outcome.wrong[:10]:
        print(" ", line)


if __name__ == "__main__":
    main()
