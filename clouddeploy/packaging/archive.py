"""Writes ``model.tar.gz``: the same members, the same bytes, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from clouddeploy.packaging import tar
from clouddeploy.packaging.artifact import Member, Report, onward
from clouddeploy.packaging.source import changed, opened

CHUNK_BYTES = 1 << 20
DEFLATE_LIMIT = 1032  # deflate can't shrink anything further than 1032:1 (RFC 1951: 258 bytes in two bits)
THREADS = max(1, min(4, (os.cpu_count() or 1) - 1))  # beside the thread that reads and hashes


def write_archive(members: Sequence[Member], out: Path, *, report: Report, threads: int = THREADS) -> Path:
    """Write `members`, in their order, to the gzipped tar file `out`.

    Raises:
        ModelChanged, ModelError, SpecError: see `Artifact.write`.
    """
    from clouddeploy.packaging.deflate import GzipStream
    from clouddeploy.packaging.target import appearing

    total = sum(m.size for m in members)
    needed = sum(tar.length(m.name, m.size, m.mode) for m in members) + len(tar.END)
    with appearing(out, needed=needed, at_least=needed // DEFLATE_LIMIT) as hidden:
        with (
            open(hidden, "wb", buffering=0) as file,
            GzipStream(_whole(file.write), threads=threads) as stream,
        ):
            done = 0
            for member in members:
                stream.write(tar.header(member.name, member.size, member.mode))
                _add(member, stream.write, onward(report, done, total))
                done += member.size
                stream.write(tar.padding(member.size))
            stream.write(tar.END)
    return out


def _whole(write: Callable[[memoryview], int | None]) -> Callable[[bytes], None]:
    """`write` of an unbuffered file, called until everything is written: near a limit it writes a part."""

    def write_all(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[write(view) or 0 :]

    return write_all


def _add(member: Member, write: Callable[[memoryview], None], report: Callable[[int], None]) -> None:
    """Write the member's content, checked against what it must be."""
    digest = sha256()
    size = 0
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with opened(member.source, member.name) as file:
        while size <= member.size and (count := file.readinto(buffer)):  # type: ignore[attr-defined]
            size += count
            digest.update(buffer[:count])
            write(buffer[:count])
            report(size)
    if size != member.size or digest.hexdigest() != member.sha256:
        raise changed(member.name, member.sha256, member.source)
