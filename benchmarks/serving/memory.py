"""``python -m benchmarks.serving.memory``: what the server adds to a model and its framework.

Beside it stand as many bare processes as it has workers, each of which imports the framework, loads the same
file the same way and predicts once. RSS counts a shared page for each process that has it, and so doesn't
depend on what else runs on the machine; PSS divides it among them.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import verdict
from benchmarks.serving.models import WORKLOADS, ours
from benchmarks.serving.running import descendants, end, free_ports
from benchmarks.serving.servers import ROOT, wire

GOAL_MB, GOAL_S = 60.0, 1.0
REQUESTS = 300
WORKLOAD = WORKLOADS["mlp"]
BARE = {
    "torch": """import sys, torch
net = torch.export.load(sys.argv[1]).module()
with torch.inference_mode():
    net(torch.zeros(1, 4))
""",
    "onnx": """import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
net = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
net.run(None, {net.get_inputs()[0].name: numpy.zeros((1, 4), numpy.float32)})
""",
}
WAIT = 'print("ready", flush=True)\nsys.stdin.read()\n'
FILES = {"torch": "model.pt2", "onnx": "model.onnx"}
LOADED = re.compile(r"is loaded \(([\d.]+) s, of which the first predictions took ([\d.]+) s\)")


@dataclass(frozen=True)
class Memory:
    """Of several processes together, in MB of 2**20 bytes."""

    rss: float
    pss: float


@dataclass(frozen=True)
class Start:
    """Seconds from the command.

    Args:
        worker: until the worker's process began.
        load: that loading took in it.
        warm_up: that the first predictions took.
        ready: from the command until the server said so.
        after: from the loaded model, before its first predictions, until then.
    """

    worker: float
    load: float
    warm_up: float
    ready: float
    after: float


def memory(pids: list[int]) -> Memory:
    """What the kernel says of `pids` (proc(5), smaps_rollup)."""
    found = {"Rss": 0.0, "Pss": 0.0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in found:
                found[name] += int(rest.split()[0]) / 1024
    return Memory(found["Rss"], found["Pss"])


def bare(form: str, folder: Path, count: int) -> tuple[Memory, float]:
    """The bare processes' memory, all running at once, and the seconds that the slowest took to predict."""
    began = time.monotonic()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BARE[form] + WAIT, str(folder / FILES[form])],
            env=_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(count)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"the bare {form} process ended before it had predicted")
        took_s = time.monotonic() - began
        return memory([process.pid for process in started]), took_s
    finally:
        for process in started:
            process.communicate()


@contextmanager
def served(folder: Path, workers: int) -> Iterator[tuple[subprocess.Popen[bytes], int, Start]]:
    """The server, ready; its port, and how it came to be."""
    port = free_ports()
    command = [sys.executable, "-m", "clouddeploy.server", str(folder)]
    for text in (f"port={port}", f"workers={workers}", "threads=1"):
        command += ["--set", text]
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=_environ(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process, port, _until_ready(process, began)
    finally:
        end(process)


def _environ() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def _until_ready(process: subprocess.Popen[bytes], began: float) -> Start:
    assert process.stderr is not None
    load = warm_up = loaded_at = 0.0
    for line in process.stderr:
        text, now = line.decode("utf-8", "replace"), time.monotonic()
        if match := LOADED.search(text):
            warm_up = float(match[2])
            load, loaded_at = float(match[1]) - warm_up, now - warm_up
        if text.startswith("serving at"):
            first, *others = descendants(process.pid)
            worker = min(_born_s(pid) for pid in others) - _born_s(first)
            return Start(worker, load, warm_up, now - began, now - loaded_at)
    raise RuntimeError("the server ended before it was ready")


def _born_s(pid: int) -> float:
    """When the process began, since the machine did (proc(5), stat, field 22)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _ask(port: int) -> None:
    """Some requests, so that what they need has been loaded too."""
    body = wire(WORKLOAD)
    for _ in range(REQUESTS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/predict", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"/predict answered {answer.status}")


def run(form: str, folder: Path, workers: int) -> None:
    """Print the memory of both, and the verdict."""
    without, _ = bare(form, folder, workers)
    with served(folder, workers) as (process, port, _):
        _ask(port)
        pids = descendants(process.pid)
        whole, supervisor = memory(pids), memory(pids[:1])
    print(
        f"{form}, {workers} worker(s): RSS {whole.rss:.1f} MB, PSS {whole.pss:.1f} "
        f"(of which the supervisor {supervisor.rss:.1f} and {supervisor.pss:.1f}); "
        f"bare: RSS {without.rss:.1f}, PSS {without.pss:.1f}"
    )
    for kind, more in (("RSS", whole.rss - without.rss), ("PSS", whole.pss - without.pss)):
        what = f"{kind} in MB above the model and its framework ({form}, {workers} worker(s))"
        verdict(what, more, f"at most {GOAL_MB:.0f}", more <= GOAL_MB)


def start(form: str, folder: Path, runs: int) -> None:
    """Print how long each step of a start takes, medians of runs in turns with the bare process."""
    found, alone = [], []
    for _ in range(runs):
        alone.append(bare(form, folder, 1)[1])
        with served(folder, 1) as (_, _, one):
            found.append(one)
    middle = {
        name: statistics.median(getattr(one, name) for one in found) for name in Start.__dataclass_fields__
    }
    imports = middle["ready"] - middle["worker"] - middle["load"] - middle["after"]
    print(
        f"{form}: ready after {middle['ready']:.2f} s: supervisor {middle['worker']:.2f}, "
        f"worker's imports {imports:.2f}, framework and model {middle['load']:.2f}, "
        f"first predictions {middle['warm_up']:.3f}, rest {middle['after'] - middle['warm_up']:.3f}; "
        f"the bare process predicts after {statistics.median(alone):.2f} s"
    )
    verdict(
        f"seconds from the loaded model to ready ({form})",
        middle["after"],
        f"at most {GOAL_S:.0f}",
        middle["after"] <= GOAL_S,
    )


def main(argv: list[str] | None = None) -> None:
    """Measure every form."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.memory", description=__doc__)
    parser.add_argument("--forms", default="torch,onnx", help="separated by commas (default: torch,onnx)")
    parser.add_argument("--workers", default="1,2", help="separated by commas (default: 1,2)")
    parser.add_argument("--runs", type=int, default=5, help="starts of which medians are taken (default: 5)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        for form in args.forms.split(","):
            folder = ours("mlp", form, Path(name) / form)
            for workers in args.workers.split(","):
                run(form, folder, int(workers))
            start(form, folder, args.runs)


if __name__ == "__main__":
    main()
