"""What two servers could read differently is refused, and nothing after it on the connection is answered."""

from __future__ import annotations

import pytest

from tests.unit.server_http.rig import GET, Server

POST = b"POST /echo HTTP/1.1\r\nhost: x\r\n"
SMUGGLED = GET
AMBIGUOUS = {
    "both lengths": POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, chunked first": POST + b"transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"content-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
    "the same length twice": POST + b"content-length: 4\r\ncontent-length: 4\r\n\r\nabcd",
    "a list of lengths": POST + b"content-length: 4, 4\r\n\r\nabcd",
    "a length with a sign": POST + b"content-length: +4\r\n\r\nabcd",
    "a negative length": POST + b"content-length: -4\r\n\r\nabcd",
    "a hexadecimal length": POST + b"content-length: 0x4\r\n\r\nabcd",
    "a length with an underscore": POST + b"content-length: 1_0\r\n\r\nabcdefghij",
    "a length with a space": POST + b"content-length: 1 0\r\n\r\nabcdefghij",
    "an empty length": POST + b"content-length:\r\n\r\n",
    "a length that overflows": POST + b"content-length: 18446744073709551620\r\n\r\nabcd",
    "a length with a hard space": POST + b"content-length: 4\xa0\r\n\r\nabcd",
    "a length with superscripts": POST + b"content-length: \xb2\r\n\r\nab",
    "another coding": POST + b"transfer-encoding: gzip\r\n\r\n",
    "two codings": POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, chunked": POST + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"transfer-encoding: identity\r\n\r\n",
    "chunked with a hard space": POST + b"transfer-encoding: chunked\xa0\r\n\r\n0\r\n\r\n",
    "chunked with a vertical tab": POST + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST /echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"content-length : 4\r\n\r\nabcd",
    "a tab before the colon": POST + b"transfer-encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "a folded header": POST + b"x: a\r\n b\r\n\r\n",
    "a folded first header": b"GET /static HTTP/1.1\r\n host: x\r\n\r\n",
    "a folded coding": POST + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bare LF": b"GET /static HTTP/1.1\nhost: x\r\nx: y\r\n\r\n",
    "bare LFs in the headers": b"GET /static HTTP/1.1\r\nhost: x\nx: y\r\n\r\n",
    "a bare CR": b"GET /static HTTP/1.1\r\nhost: x\rtransfer-encoding: chunked\r\n\r\n",
    "CR CR LF": b"GET /static HTTP/1.1\r\nhost: x\r\r\n\r\n",
    "NUL in a value": POST + b"x: a\0b\r\n\r\n",
    "NUL in a name": POST + b"x\0y: a\r\n\r\n",
    "NUL in the target": b"GET /sta\0tic HTTP/1.1\r\nhost: x\r\n\r\n",
    "a header without a name": POST + b": x\r\n\r\n",
    "a header without a colon": POST + b"nothing\r\n\r\n",
    "two hosts": b"GET /static HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "no host": b"GET /static HTTP/1.1\r\n\r\n",
    "a host that is a path": b"GET /static HTTP/1.1\r\nhost: x/y\r\n\r\n",
    "a host with a login": b"GET /static HTTP/1.1\r\nhost: a@b\r\n\r\n",
    "two tokens": POST + b"authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
    "no version": b"GET /static\r\nhost: x\r\n\r\n",
    "version 0.9": b"GET /static HTTP/0.9\r\nhost: x\r\n\r\n",
    "version 1.2": b"GET /static HTTP/1.2\r\nhost: x\r\n\r\n",
    "version 2.0": b"GET /static HTTP/2.0\r\nhost: x\r\n\r\n",
    "HTTP/2 itself": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version in small letters": b"GET /static http/1.1\r\nhost: x\r\n\r\n",
    "two spaces": b"GET  /static HTTP/1.1\r\nhost: x\r\n\r\n",
    "a space at the end": b"GET /static HTTP/1.1 \r\nhost: x\r\n\r\n",
    "a space in the target": b"GET /sta tic HTTP/1.1\r\nhost: x\r\n\r\n",
    "a fragment": b"GET /static#x HTTP/1.1\r\nhost: x\r\n\r\n",
    "a relative target": b"GET static HTTP/1.1\r\nhost: x\r\n\r\n",
    "another scheme": b"GET file:///etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path that isn't UTF-8": b"GET /%ff HTTP/1.1\r\nhost: x\r\n\r\n",
    "a small method": b"get /static HTTP/1.1\r\nhost: x\r\n\r\n",
    "an unknown method": b"BREW /static HTTP/1.1\r\nhost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "nothing": b" \r\n\r\n",
}
CHUNKS = {
    "a negative size": b"-1\r\nx\r\n0\r\n\r\n",
    "a size with 0x": b"0x1\r\nx\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "a size with a sign": b"+1\r\nx\r\n0\r\n\r\n",
    "a size after a space": b" 1\r\nx\r\n0\r\n\r\n",
    "a size before a space": b"1 \r\nx\r\n0\r\n\r\n",
    "no size": b"\r\nx\r\n0\r\n\r\n",
    "a size that overflows": b"10000000000000001\r\nx\r\n0\r\n\r\n",
    "a size with many noughts": b"0000000000000000000001\r\nx\r\n0\r\n\r\n",
    "a bare LF after the size": b"1\nx\r\n0\r\n\r\n",
    "a bare LF in an extension": b"1;a\nb\r\nx\r\n0\r\n\r\n",
    "a bare CR in an extension": b"1;a\rb\r\nx\r\n0\r\n\r\n",
    "NUL in an extension": b"1;\0\r\nx\r\n0\r\n\r\n",
    "a long extension": b"1;" + b"a" * 300 + b"\r\nx\r\n0\r\n\r\n",
    "more than its size": b"1\r\nxy\r\n0\r\n\r\n",
    "less than its size": b"5\r\nx\r\n0\r\n\r\n",
    "a bare LF after a chunk": b"1\r\nx\n0\r\n\r\n",
    "a trailer without a colon": b"0\r\nnothing\r\n\r\n",
    "a folded trailer": b"0\r\nx: a\r\n b\r\n\r\n",
    "a bare LF in a trailer": b"0\r\nx: a\ny: b\r\n\r\n",
    "a space before a trailer's colon": b"0\r\nx : a\r\n\r\n",
    "a long trailer": b"0\r\nx: " + b"a" * 5000 + b"\r\n\r\n",
    "many trailers": b"0\r\n" + b"x: a\r\n" * 1000 + b"\r\n",
    "almost nothing in each": (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 200 + b"0\r\n\r\n",
}


def refused(server: Server, data: bytes) -> None:
    client = server.client()
    client.send(data + SMUGGLED)
    answer = client.answer()
    assert (answer.status, answer.code) == (400, "bad_request")
    assert answer.headers["connection"] == "close"
    client.sock.shutdown(1)
    assert client.rest() == b""


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_head_that_could_be_read_otherwise_is_refused(shared: Server, name: str) -> None:
    refused(shared, AMBIGUOUS[name])


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_that_could_be_read_otherwise_are_refused(shared: Server, name: str) -> None:
    refused(shared, POST + b"transfer-encoding: chunked\r\n\r\n" + CHUNKS[name])


@pytest.mark.parametrize(
    "chunks",
    [
        b"3\r\nabc\r\n0\r\n\r\n",
        b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n",
        b'3;name=value;other="quoted"\r\nabc\r\n0;last\r\n\r\n',
        b"3 ; name\r\nabc\r\n0\r\n\r\n",
        b"003\r\nabc\r\n000\r\n\r\n",
        b"3\r\nabc\r\n0\r\nx-checksum: 1\r\ncontent-length: 9\r\n\r\n",
    ],
)
def test_chunks_are_put_together_and_the_next_request_is_answered(shared: Server, chunks: bytes) -> None:
    client = shared.client()
    client.send(POST + b"Transfer-Encoding: Chunked\r\n\r\n" + chunks + GET)
    assert client.answer().body == b"abc"
    assert client.answer().body == b'{"status":"ok"}'
