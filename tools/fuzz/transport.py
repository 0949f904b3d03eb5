"""Harnesses of HTTP: what `Heads` and `Chunks` take must be what anybody else takes it for."""

from __future__ import annotations

from functools import cache, partial

from clouddeploy.runtime.errors import WireError
from clouddeploy.server import heads as heads_module
from clouddeploy.server.chunks import Chunks
from clouddeploy.server.heads import END, Heads
from clouddeploy.server.message import Head
from tools.fuzz.outcome import outcome

CODES = ("bad_request", "head_too_large", "unsupported_media_type")
BODY, LIMIT = 512, 8


def head(data: bytes) -> None:
    """A head that is taken has one reading alone (RFC 9112); the reading here is by hand, byte by byte."""
    whole = data.partition(END)[0] + END
    found = outcome(lambda: Heads().parse(whole), WireError)
    if isinstance(found, WireError):
        assert found.code in CODES, found.code
    else:
        _unambiguous(whole, found)


def remembered_head(data: bytes) -> None:
    """What is remembered of other heads changes nothing about how one is read."""
    heads = _remembering()
    whole = data.partition(END)[0] + END
    alone = outcome(lambda: heads_module._parsed(whole, LIMIT), WireError)
    for _ in range(2):
        found = outcome(lambda: heads.parse(whole), WireError)
        if isinstance(alone, WireError) or isinstance(found, WireError):
            assert isinstance(found, WireError), f"taken, but {alone}"
            if "compressed" in found.message and not isinstance(alone, WireError):
                continue
            assert isinstance(alone, WireError), found.message
            assert (found.code, found.message) == (alone.code, alone.message)
        else:
            assert found == alone, f"{found} instead of {alone}"


@cache
def _remembering() -> Heads:
    return Heads(LIMIT)


def _unambiguous(whole: bytes, found: Head) -> None:
    first, *lines = whole[:-4].split(b"\r\n")
    text = b"".join((first, *lines))
    assert not any(byte in text for byte in (b"\r", b"\n", b"\0")), "a line end or NUL within a line"
    method, target, version = first.split(b" ")
    assert (method.decode(), b"HTTP/" + found.version.encode()) == (found.method, version)
    assert version in (b"HTTP/1.0", b"HTTP/1.1")
    assert target == b"*" or target.startswith(b"/") or target.lower().startswith((b"http://", b"https://"))
    assert b"#" not in target
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        assert colon, "a line without a colon"
        assert name, "a field without a name"
        assert all(33 <= byte < 127 and byte not in b'"(),/:;<=>?@[\\]{}' for byte in name)
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    assert {name.decode() for name in fields} == set(found.headers)
    for name, values in fields.items():
        assert found.headers[name.decode()].encode("latin-1") == b", ".join(values)
    _one_length(fields, found)
    hosts = fields.get(b"host", [])
    assert len(hosts) == 1 or (not hosts and version == b"HTTP/1.0")
    assert not any(byte in b"/@\\?# " for byte in b"".join(hosts))


def _one_length(fields: dict[bytes, list[bytes]], found: Head) -> None:
    """RFC 9112, section 6.3: chunked or a length, never both, and never twice."""
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    assert len(lengths) + len(codings) <= 1
    if lengths:
        assert lengths[0]
        assert all(48 <= byte < 58 for byte in lengths[0])
        assert found.length == int(lengths[0])
    elif codings:
        assert codings[0].lower() == b"chunked"
        assert (found.version, found.length) == ("1.1", -1)
    else:
        assert found.length == 0


def chunks(data: bytes) -> None:
    """A chunked body is read as by hand, however it is cut; the first byte says how."""
    step, body = 1 + (data[0] if data else 0) % 16, data[1:]
    whole = _read([body])
    assert _read([body[i : i + step] for i in range(0, len(body), step)]) == whole
    if isinstance(whole, tuple):
        assert whole == _by_hand(body)


def _read(parts: list[bytes]) -> tuple[bytes, bytes] | str | None:
    reader = Chunks(BODY)
    for number, part in enumerate(parts):
        found = outcome(partial(reader.feed, part), WireError)
        if isinstance(found, WireError):
            assert found.code in ("bad_request", "too_large"), found.code
            return found.code
        if found is not None:
            return found[0], found[1] + b"".join(parts[number + 1 :])
    return None


def _by_hand(data: bytes) -> tuple[bytes, bytes]:
    """Body, and what follows it (RFC 9112, section 7.1)."""
    body = b""
    while True:
        line, end, data = data.partition(b"\r\n")
        assert end
        assert not any(byte in b"\r\n\0" for byte in line)
        digits = line.partition(b";")[0].rstrip(b" \t")
        assert b";" in line or digits == line
        assert digits
        assert all(byte in b"0123456789abcdefABCDEF" for byte in digits)
        size = int(digits, 16)
        if not size:
            break
        assert data[size : size + 2] == b"\r\n"
        body, data = body + data[:size], data[size + 2 :]
    while True:
        line, end, data = data.partition(b"\r\n")
        assert end
        if not line:
            return body, data
        name, colon, _ = line.partition(b":")
        assert colon
        assert name
        assert not any(byte in b" \t\r\n\0" for byte in name)
