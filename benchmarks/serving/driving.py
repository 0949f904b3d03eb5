"""Load on a running server: by wrk where it is installed, else by `clouddeploy.bench`."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.bench import Load, measure

UNIT_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
QUANTILE = re.compile(r"^\s+(50|99)%\s+([0-9.]+)(us|ms|s|m)\s*$", re.M)
RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)$", re.M)
ERRORS = re.compile(r"Non-2xx or 3xx responses: ([0-9]+)|Socket errors: .*")


class CannotMeasure(Exception):
    """The load generator gave no figures."""


@dataclass(frozen=True)
class Figures:
    """What one run found: milliseconds, and good answers a second."""

    p50_ms: float
    p99_ms: float
    per_s: float
    errors: int


def drive(
    url: str, body: bytes, kind: str, *, connections: int, seconds: float, tool: str = "auto"
) -> Figures:
    """Keep `connections` busy for some seconds (closed loop).

    Args:
        tool: ``wrk``, ``bench``, or ``auto`` for wrk where it is installed.
    """
    if tool == "bench" or (tool == "auto" and not shutil.which("wrk")):
        return _by_bench(url, body, kind, connections, seconds)
    return _by_wrk(url, body, kind, connections, seconds)


def _by_bench(url: str, body: bytes, kind: str, connections: int, seconds: float) -> Figures:
    load = Load(
        url=url,
        method="POST" if body else "GET",
        body=body,
        headers={"content-type": kind},
        connections=connections,
        duration_s=seconds,
        warm_up_s=0.2,
        timeout_s=30,
    )
    found = measure(load, probe=False)
    return Figures(found.quantile_ms(0.5), found.quantile_ms(0.99), found.answered, found.errors)


def _by_wrk(url: str, body: bytes, kind: str, connections: int, seconds: float) -> Figures:
    with tempfile.TemporaryDirectory() as name:
        script, data = Path(name, "post.lua"), Path(name, "body")
        data.write_bytes(body)
        method = "POST" if body else "GET"
        script.write_text(
            f'local file = io.open("{data}", "rb")\nwrk.method = "{method}"\nwrk.body = file:read("*a")\n'
            f'file:close()\nwrk.headers["content-type"] = "{kind}"\n'
        )
        flags = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "--latency"]
        done = subprocess.run(
            ["wrk", *flags, "-s", str(script), url], capture_output=True, text=True, timeout=600, check=True
        )
    quantiles = {q: float(n) * UNIT_MS[u] for q, n, u in QUANTILE.findall(done.stdout)}
    rate = RATE.search(done.stdout)
    if rate is None or len(quantiles) != 2:
        raise CannotMeasure(f"wrk said: {done.stdout}{done.stderr}")
    failed = sum(int(found[1] or 1) for found in ERRORS.finditer(done.stdout))
    return Figures(quantiles["50"], quantiles["99"], float(rate[1]), failed)
