"""Ten thousand connections on which nothing happens, to a server that is a process of its own."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clouddeploy.testing.served import ServerProcess, until, write_model

WANTED, LEAST, SPARE = 10_000, 2_000, 500
MOST_BYTES_EACH = 16 << 10
QUESTION = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 15\r\n\r\n" + b'{"input":[1,2]}'


@pytest.fixture
def crowd() -> Iterator[int]:
    """How many connections this machine allows, each process for itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED + SPARE if hard == resource.RLIM_INFINITY else min(WANTED + SPARE, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    if max(soft, wanted) - SPARE < LEAST:
        pytest.skip(f"this machine allows {wanted} open files only")
    yield min(WANTED, max(soft, wanted) - SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(pids: set[int]) -> int:
    """Bytes of memory that processes hold."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * resource.getpagesize()


def connections(server: ServerProcess) -> int:
    text = server.call("/metrics").body.decode()
    found = [line for line in text.splitlines() if line.startswith("clouddeploy_connections")]
    return int(sum(float(line.rpartition(" ")[2]) for line in found))


def test_idle_connections_cost_little_and_keep_nobody_waiting(tmp_path: Path, crowd: int) -> None:
    with ServerProcess(write_model(tmp_path / "model", 1)) as server, ExitStack() as held:
        port = int(server.url.rpartition(":")[2])
        workers = server.workers()
        assert server.call("/predict", {"input": [1, 2]}).status == 200
        before = resident(workers)
        place = ("127.0.0.1", port)
        idle = [held.enter_context(socket.create_connection(place, timeout=20)) for _ in range(crowd)]
        until(lambda: connections(server) >= crowd, "all are connected")
        each = (resident(workers) - before) / crowd
        assert server.call("/predict", {"input": [1, 2]}).body == {"prediction": [1001.0, 1002.0]}
        assert server.call("/ready").status == 200
        assert each < MOST_BYTES_EACH, f"{each:.0f} bytes for each of {crowd} idle connections"
        for one in idle[:: crowd // 20]:
            one.sendall(QUESTION)
            assert one.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert server.workers() == workers
