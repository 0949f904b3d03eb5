"""Lines of the access log, made a thousand at a time as the rows of one matrix of characters.

All lines of a block are equally long: what is shorter than its column is filled up with spaces outside of
the quotes, where JSON allows them (RFC 8259, section 2). So no line is made by itself, and most columns of a
block, whose requests are alike, are written once into its template.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.monitoring.access_log import WIDTH

SPACE, QUOTE = b' "'
Cells = bytes | NDArray[np.uint8]
"""A column: what all lines have in it, or a row of characters for each."""


def _table(form: str) -> NDArray[np.uint8]:
    """The numbers below a thousand, written by `form`, a row for each."""
    text = "".join([form % number for number in range(1000)])
    return np.frombuffer(text.encode(), np.uint8).reshape(1000, 3)


DIGITS, ALIGNED = _table("%03d"), _table("%3d")


class Lines:
    """Makes lines of records."""

    def __init__(self) -> None:
        self._held = np.empty(0, np.uint8)  # new pages for each block would cost more than its characters

    def of(self, records: list[Any]) -> bytes:
        """`records`, one after the other in one list, as lines.

        Args:
            records: for each line the `WIDTH` values: `time.perf_counter` at its end, seconds, id, examples,
                bytes in, bytes out, client, and the end of the line from the method on, as JSON in bytes.
        """
        ends, took, ids, batches, sizes_in, sizes_out, clients, rests = (
            records[at::WIDTH] for at in range(WIDTH)
        )
        offset = time.time() - time.perf_counter()  # each time anew: clocks are set
        stamps = ((np.array(ends) + offset) * 1000).astype(np.int64)
        micros = np.rint(np.array(took) * 1e6).astype(np.int64)
        columns: list[Cells] = [
            b'{"time":"',
            *_times(stamps),
            b'Z","id":',
            _ids(ids),
            b',"ms":',
            *_thousandths(micros),
            b',"batch":',
            _numbers(batches),
            b',"bytes_in":',
            _numbers(sizes_in),
            b',"bytes_out":',
            _numbers(sizes_out),
            b',"client":',
            _texts(clients),
            b',"method":',
            _padded(rests),
            b"}\n",
        ]
        return self._joined(columns, len(ends))

    def _joined(self, columns: Sequence[Cells], count: int) -> bytes:
        """The columns beside one another."""
        template = b"".join([c if isinstance(c, bytes) else bytes(c.shape[1]) for c in columns])
        width = len(template)
        if len(self._held) < count * width:
            self._held = np.empty(count * width, np.uint8)
        lines = self._held[: count * width].reshape(count, width)
        lines[:] = np.frombuffer(template, np.uint8)
        at = 0
        for cells in columns:
            if isinstance(cells, bytes):
                at += len(cells)
            else:
                lines[:, at : at + cells.shape[1]] = cells
                at += cells.shape[1]
        return lines.tobytes()


def _times(stamps: NDArray[np.int64]) -> tuple[Cells, Cells]:
    """Milliseconds since 1970 as RFC 3339 writes them, without the letter at the end."""
    seconds = stamps // 1000
    first, last = int(seconds[0]), int(seconds[-1])
    digits = DIGITS.take(stamps - seconds * 1000, axis=0)
    if first == last:  # they are in order
        return _second(first), digits
    known = {second: _second(second) for second in set(seconds.tolist())}
    return _padded([known[second] for second in seconds.tolist()]), digits


def _second(second: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()


def _thousandths(numbers: NDArray[np.int64]) -> tuple[Cells, Cells, Cells]:
    """`numbers`, which aren't negative, divided by a thousand."""
    whole = numbers // 1000
    return _aligned(whole), b".", DIGITS.take(numbers - whole * 1000, axis=0)


def _numbers(values: list[int]) -> Cells:
    """Whole numbers, none of them negative."""
    if values.count(values[0]) == len(values):
        return b"%d" % values[0]
    return _aligned(np.frombuffer(array("q", values), np.int64))


def _aligned(numbers: NDArray[np.int64]) -> Cells:
    """As many characters for each as the largest needs."""
    most = int(numbers.max())
    width = len(str(most))
    if most < 1000:
        return ALIGNED[:, 3 - width :].take(numbers, axis=0) if most else b"0"
    texts = [b"%*d" % (width, number) for number in numbers.tolist()]
    return np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), width)


def _ids(ids: list[str]) -> Cells:
    """Ids in quotes: printable ASCII."""
    text = ('"' + '""'.join(ids) + '"').encode()
    width = len(ids[0]) + 2
    if len(text) == width * len(ids) and text.count(b'"') == 2 * len(ids) and b"\\" not in text:
        cells = np.frombuffer(text, np.uint8).reshape(len(ids), width)
        if (cells[:, 0] == QUOTE).all() and (cells[:, -1] == QUOTE).all():
            return cells
    return _texts(ids)


def _texts(texts: list[str]) -> Cells:
    """Texts in quotes."""
    if texts.count(texts[0]) == len(texts):
        return _quoted(texts[0])
    known = {text: _quoted(text) for text in set(texts)}
    return _padded([known[text] for text in texts])


def _quoted(text: str) -> bytes:
    return json.dumps(text).encode()


def _padded(texts: list[bytes]) -> Cells:
    """Texts without zeros, with spaces after those that are shorter than others."""
    if texts.count(texts[0]) == len(texts):
        return texts[0]
    longest = max(map(len, texts))
    cells = np.array(texts, dtype=f"S{longest}").view(np.uint8).reshape(len(texts), longest)
    cells[cells == 0] = SPACE
    return cells
