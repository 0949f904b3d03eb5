"""Inputs that once did harm, by harness; each is run by the test suite, and mutated by fuzzing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

KEY_HASH = hashlib.sha256(b"cd_1f09ab34_" + b"k" * 43).hexdigest().encode()


def _npy(shape: bytes, descr: bytes = b"<f4", data: bytes = b"") -> bytes:
    """An npy file with a header as it stands."""
    header = b"{'descr': '%b', 'fortran_order': False, 'shape': %b, }" % (descr, shape)
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + data


def _v2(shape: bytes, kind: bytes = b"FP32") -> bytes:
    """Binary tensors of no bytes."""
    return (
        b'\3{"inputs":[{"name":"x","datatype":"%b","shape":%b,"parameters":{"binary_data_size":0}}]}\xff'
        % (kind, shape)
    )


def _keys(expires: bytes) -> bytes:
    row = b'{"id":"1f09ab34","name":"n","sha256":"%b","created":0,"expires":%b}'
    return b'{"keys":[%b]}' % (row % (KEY_HASH, expires))


EMPTY_AND_HUGE = (
    # numpy refuses to shape nothing into what would be too large if it were something.
    *(_npy(b"(1, 0, 1099511627776, 1099511627776)"), _npy(b"(0, 281474976710656)", b"<U1")),
    _npy(b"(1, 0, 9223372036854775807)"),
    _npy(b"(1, 0, 9999999999999999999)"),
    # A size that was cut after nineteen characters was read as another.
    _npy(b"(1, 0, 922337203685477580799)"),
)
ONE_VALUE = (
    # One value that is no batch, and out of range: it has no place that could be told.
    _npy(b"()", b"|u2", b"\1\1"),
    _npy(b"(,,)", b"|u2", b"\1\1"),
)
FOUND: Mapping[str, tuple[bytes, ...]] = {
    "npy_body": (*(b"\3" + body for body in EMPTY_AND_HUGE), *(b"\4" + body for body in ONE_VALUE)),
    "quick_npy": (*(b"\3" + body for body in EMPTY_AND_HUGE), *(b"\4" + body for body in ONE_VALUE)),
    "v2_bytes": (
        _v2(b"[1,0,549755813888,549755813888]"),
        _v2(b"[1,0,549755813888,549755813888]", b"BF16"),
        _v2(b"[1,0,549755813888,549755813888]", b"BYTES"),
    ),
    "token": (
        # PyJWT takes a time that is text, and text that isn't Unicode.
        b'\1{"exp":"99999999999"}',
        b'\1{"exp":99999999999,"sub":"\\ud800"}',
        b'\1{"exp":Infinity}',
        b'\1{"exp":99999999999,"sub":' + b"[" * 20_000,
    ),
    "predictions": (
        b'\0\0{"predictions":[{"a":1},{"b":1}]}',
        b'\0\0{"predictions":[{"a":1},5]}',
        b'\0\0{"predictions":[{}]}',
    ),
    "key_set": (b"[" * 100_000, b'{"keys":' + b"[" * 100_000),
    "key_file": (
        b"[" * 100_000,
        *map(_keys, (b"-1e30", b"-Infinity", b"NaN", b'"-inf"', b"-62135596801", b"1e400")),
    ),
}
