"""Load on a server, and how long its answers took.

`measure(Load(...))` sends requests at a fixed rate whatever the server does (open loop), or as fast as it
answers (closed loop). Latency counts from when a request was due, not from when it could be sent: a server
that stalls for a second makes every request of that second late, and the figures say so.
"""

from __future__ import annotations

from clouddeploy.bench.generator import measure
from clouddeploy.bench.histogram import Histogram
from clouddeploy.bench.load import Load
from clouddeploy.bench.result import BenchResult

__all__ = ["BenchResult", "Histogram", "Load", "measure"]
