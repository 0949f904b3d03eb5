"""Tar headers that hold nothing of the machine that made them: no owner, no time, one mode.

Written by hand, because what the standard library writes differs between Python versions. The form
is ustar (POSIX.1-1988); a pax record (POSIX.1-2001) precedes it only where name or size don't fit.
"""

from __future__ import annotations

BLOCK = 512
END = bytes(2 * BLOCK)
NAME_LIMIT, PREFIX_LIMIT = 100, 155
SIZE_LIMIT = 8**11  # eleven octal digits
REGULAR, DIRECTORY, PAX = b"0", b"5", b"x"


def header(name: str, size: int, mode: int, kind: bytes = REGULAR) -> bytes:
    """The block or blocks before a regular file's content, or that stand for a directory."""
    records: dict[str, str] = {}
    place = _split(name.encode()) if name.isascii() else None
    if place is None:
        records["path"] = name
        place = (b"", name.encode("ascii", "replace")[:NAME_LIMIT])
    if size >= SIZE_LIMIT:
        records["size"] = str(size)
    first = _pax(records, mode) if records else b""
    return first + _block(*place, size=size if size < SIZE_LIMIT else 0, mode=mode, kind=kind)


def padding(size: int) -> bytes:
    """The zero bytes after a content of `size` bytes."""
    return bytes(-size % BLOCK)


def length(name: str, size: int, mode: int) -> int:
    """Bytes that a file takes in the archive."""
    return len(header(name, size, mode)) + size + (-size % BLOCK)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """`name` as ustar's (prefix, name), cut at the last slash that fits; None where none does."""
    if len(name) <= NAME_LIMIT:
        return b"", name
    at = name.rfind(b"/", 0, PREFIX_LIMIT + 1)
    if at <= 0 or len(name) - at - 1 > NAME_LIMIT:
        return None
    return name[:at], name[at + 1 :]


def _pax(records: dict[str, str], mode: int) -> bytes:
    content = b"".join(_record(key, value) for key, value in sorted(records.items()))
    return _block(b"", b"PaxHeader", size=len(content), mode=mode, kind=PAX) + content + padding(len(content))


def _record(key: str, value: str) -> bytes:
    """``length key=value\\n``, where the length counts its own digits too."""
    rest = f" {key}={value}\n".encode()
    size = len(rest)
    while size != len(str(size)) + len(rest):
        size = len(str(size)) + len(rest)
    return str(size).encode() + rest


def _block(prefix: bytes, name: bytes, *, size: int, mode: int, kind: bytes) -> bytes:
    fields = (
        name.ljust(NAME_LIMIT, b"\0"),
        b"%07o\0" % mode,
        b"0000000\0" * 2,  # owner and group
        b"%011o\0" % size,
        b"%011o\0" % 0,  # modification time
        b" " * 8,  # checksum, counted as blanks
        kind,
        bytes(100),  # link target
        b"ustar\x0000",
        bytes(64),  # names of owner and group
        b"0000000\0" * 2,  # device numbers
        prefix.ljust(PREFIX_LIMIT, b"\0"),
        bytes(12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
