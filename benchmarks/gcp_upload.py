"""Uploading 500 MB to the embedded Cloud Storage: our sender against google-cloud-storage's own.

    python -m benchmarks.gcp_upload                     # 500 MB, five rounds
    python -m benchmarks.gcp_upload --mb 100 --rounds 3

The peer is ``transfer_manager.upload_chunks_concurrently`` with its best settings: each combination of
chunk size, workers and kind of worker is tried, and the fastest is what is measured. Runs alternate, medians
count; the file lies in the page cache, and the storage is a process of its own. Both check each part's
CRC32C; ours states a generation precondition as well, which the peer's protocol can't.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.measure import alternate, seconds, verdict
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.source import stamp_of
from clouddeploy.providers.gcp.bucket import make_bucket
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.upload import remove, send_member

MB = 1_000_000
MIB = 1 << 20
PROJECT = "benchmark"
BUCKET = "clouddeploy-benchmark-europe-west1"
SERVER = """
import sys
from pathlib import Path
from clouddeploy.emulator.google.storage import Storage
from clouddeploy.emulator.http.listener import Listener
from clouddeploy.emulator.http.message import Response

storage = Storage(Path(sys.argv[1]), lambda: f"http://127.0.0.1:{listener.port}")
listener = Listener(lambda r: storage.handle(r) or Response(404, [], b""), streamed=storage.streams)
listener.start()
print(listener.port, flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Peer:
    """One combination of ``transfer_manager``'s settings."""

    chunk_mib: int
    workers: int
    kind: str

    def __str__(self) -> str:
        return f"{self.workers} {self.kind} workers, chunks of {self.chunk_mib} MiB"


def main() -> None:
    """Run it and print the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mb", type=int, default=500, help="size of the file in MB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=4, help="parts that ours sends at once")
    asked = parser.parse_args(None if __name__ == "__main__" else [])
    with tempfile.TemporaryDirectory(prefix="bench-") as place, serving(Path(place) / "storage") as url:
        member = made(Path(place) / "model.bin", asked.mb * MB)
        gcp = Gcp(project=PROJECT, region="europe-west1", endpoint_url=url, credentials="anonymous")
        make_bucket(gcp, BUCKET)
        compare(gcp, url, member, asked.rounds, asked.threads)


def compare(gcp: Gcp, url: str, member: Member, rounds: int, threads: int) -> None:
    """Find the peer's best settings, then measure both in turn."""
    ours = timed(gcp, lambda: send_member(gcp, BUCKET, "run/ours", member, threads=threads))
    tried = {peer: timed(gcp, by_peer(url, member, peer)) for peer in combinations()}
    ours()
    first = {peer: min(act(), act()) for peer, act in tried.items()}
    best = min(first, key=lambda peer: first[peer])
    for peer, took_s in sorted(first.items(), key=lambda pair: pair[1]):
        print(f"  {took_s:6.2f} s  {peer}", flush=True)
    took = alternate({"clouddeploy": ours, "transfer_manager": tried[best]}, rounds)
    print(f"{member.size / MB:.0f} MB, {os.cpu_count()} cores; peer: {best}")
    for name, took_s in took.items():
        print(f"  {name:16} {took_s:6.2f} s  {member.size / MB / took_s:6.0f} MB/s")
    ratio = took["transfer_manager"] / took["clouddeploy"]
    verdict("throughput of ours over transfer_manager's", ratio, "at least 1", ratio >= 1)


def combinations() -> Iterator[Peer]:
    """The settings that are tried: the defaults (32 MiB, 8 processes) among them."""
    for chunk_mib, workers, kind in itertools.product((32, 64, 128), (2, 4, 8), ("thread", "process")):
        yield Peer(chunk_mib, workers, kind)


def by_peer(url: str, member: Member, peer: Peer) -> Callable[[], object]:
    """The peer's upload, with a client that is open already."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client, transfer_manager

    anonymous: Any = AnonymousCredentials
    client = Client(PROJECT, anonymous(), client_options={"api_endpoint": url})

    def upload() -> None:
        transfer_manager.upload_chunks_concurrently(
            str(member.source),
            client.bucket(BUCKET).blob("run/theirs"),
            chunk_size=peer.chunk_mib * MIB,
            max_workers=peer.workers,
            worker_type=peer.kind,
        )

    return upload


def timed(gcp: Gcp, act: Callable[[], object]) -> Callable[[], float]:
    """Seconds of `act`, from an empty bucket and with nothing left to be written to the disk."""

    def run() -> float:
        remove(gcp, BUCKET, "run/")
        os.sync()
        return seconds(act)

    return run


def made(path: Path, size: int) -> Member:
    """A file of random bytes, as a part of an artifact."""
    digest = sha256()
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            piece = os.urandom(min(MIB, size - start))
            digest.update(piece)
            file.write(piece)
    with path.open("rb") as file:
        return Member(path.name, size, digest.hexdigest(), path, stamp=stamp_of(file.fileno()))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A Cloud Storage in a process of its own."""
    command = [sys.executable, "-c", SERVER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.communicate()


if __name__ == "__main__":
    main()
