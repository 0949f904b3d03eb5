"""Checksums of what arrives: CRC32C (Castagnoli) and MD5, as Cloud Storage states them, in base64."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence

from clouddeploy.emulator.google.storage.answers import Refusal

POLYNOMIAL = 0x82F63B78


def _table() -> tuple[int, ...]:
    rows = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (POLYNOMIAL if number & 1 else 0)
        rows.append(number)
    return tuple(rows)


def crc32c_slowly(crc: int, data: bytes) -> int:
    """`crc` continued over `data`, where no library for it is there."""
    table = _table()
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def crc32c_function() -> Callable[[int, bytes], int]:
    """The library's, which every client of Cloud Storage brings, else ours."""
    try:
        import google_crc32c
    except ImportError:
        return crc32c_slowly
    found: Callable[[int, bytes], int] = google_crc32c.extend
    return found


class Digests:
    """Both checksums of a stream of bytes.

    Args:
        md5: whether MD5 is wanted, which costs most of the time.
    """

    def __init__(self, *, md5: bool = True) -> None:
        self.size = 0
        self._extend = crc32c_function()
        self._crc = 0
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None

    def update(self, piece: bytes) -> None:
        """Take in the next bytes."""
        self.size += len(piece)
        self._crc = self._extend(self._crc, piece)
        if self._md5 is not None:
            self._md5.update(piece)

    @property
    def crc32c(self) -> str:
        """CRC32C, big-endian, in base64."""
        return base64.b64encode(self._crc.to_bytes(4, "big")).decode()

    @property
    def md5(self) -> str:
        """MD5 in base64; empty when it wasn't wanted."""
        return base64.b64encode(self._md5.digest()).decode() if self._md5 is not None else ""

    @property
    def md5_hex(self) -> str:
        """MD5 in hexadecimal digits, the entity tag of the XML API."""
        return self._md5.hexdigest() if self._md5 is not None else ""

    def check(self, stated: Mapping[str, str]) -> None:
        """Compare with what the client states: ``crc32c`` and ``md5Hash``.

        Raises:
            Refusal: 400, they differ ("Hashes and ETags", Cloud Storage documentation).
        """
        for field, name, mine in (("crc32c", "CRC32C", self.crc32c), ("md5Hash", "MD5 hash", self.md5)):
            theirs = stated.get(field)
            if theirs and mine and theirs != mine:
                message = f'Provided {name} "{theirs}" doesn\'t match calculated {name} "{mine}".'
                raise Refusal(400, message, code="BadDigest")


def stated_in(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums in ``x-goog-hash`` and ``content-md5`` (lower-case names)."""
    found: dict[str, str] = {}
    for item in headers.get("x-goog-hash", "").split(","):
        kind, _, value = item.strip().partition("=")
        if kind in ("crc32c", "md5"):
            found["md5Hash" if kind == "md5" else kind] = value
    if headers.get("content-md5"):
        found["md5Hash"] = headers["content-md5"]
    return found


def joined(parts: Sequence[tuple[str, int]]) -> str:
    """CRC32C of pieces put together, from those of the pieces (in base64) and their sizes in bytes.

    Appending n zero bytes is a linear map of the register; it is squared up to n (as zlib combines CRCs).
    """
    total = 0
    for text, size in parts:
        part = int.from_bytes(base64.b64decode(text), "big")
        total = _after_zeros(total, size) ^ part
    return base64.b64encode(total.to_bytes(4, "big")).decode()


def _times(matrix: Sequence[int], vector: int) -> int:
    result = 0
    for row in matrix:
        if not vector:
            break
        if vector & 1:
            result ^= row
        vector >>= 1
    return result


def _after_zeros(crc: int, size: int) -> int:
    # One zero bit first: the polynomial, and every other bit moved down by one.
    matrix = [POLYNOMIAL, *(1 << n for n in range(31))]
    bits = size * 8
    while bits:
        if bits & 1:
            crc = _times(matrix, crc)
        matrix = [_times(matrix, row) for row in matrix]
        bits >>= 1
    return crc
