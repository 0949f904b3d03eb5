"""`clouddeploy bench` on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.bench.conftest import BUSY, OK, Server
from tests.unit.cli.fake_deployer import cli

DOC = Path(__file__).parents[3] / "docs" / "cli.md"
QUICK = ("--rate", "100", "--duration", "200ms", "--warm-up", "0s", "--connections", "2")


def shape(value: Any) -> Any:
    return {key: shape(item) for key, item in value.items()} if isinstance(value, dict) else type(value)


def test_the_documented_json_is_what_is_printed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("[[1, 2]]")
    done = cli("bench", server.url, *QUICK, "--input", "in.json", "--json", folder=tmp_path)
    assert done.code == 0, done.err
    found = re.search(r"### bench\n\n```json\n(.*)\n```", DOC.read_text("utf-8"))
    assert found
    assert shape(json.loads(done.out)) == shape(json.loads(found[1]))
    head, _, body = server.seen[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /predict HTTP/1.1")
    assert body == b'{"inputs":[[1, 2]]}'


def test_bytes_headers_and_path_are_sent_as_they_are_given(server: Server, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"{raw}")
    url, flags = f"{server.url}/v1/x?y=z", ("--body", "raw", "--header", "X-API-Key: k")
    done = cli("bench", url, *QUICK, *flags, folder=tmp_path)
    assert done.code == 0, done.err
    assert done.out.startswith(url)
    assert server.seen[-1].startswith(b"POST /v1/x?y=z HTTP/1.1")
    assert b"\r\nx-api-key: k\r\n" in server.seen[-1]
    assert server.seen[-1].endswith(b"{raw}")


def test_a_load_of_which_nothing_succeeded_fails(server: Server, tmp_path: Path) -> None:
    server.answer = lambda number: (BUSY, False)
    done = cli("bench", f"{server.url}/x", *QUICK, "--method", "GET", folder=tmp_path)
    assert done.code == 8
    assert "503: 20" in done.out
    assert "none of 20 requests" in done.err


def test_a_closed_loop_needs_no_rate(server: Server, tmp_path: Path) -> None:
    server.answer = lambda number: (OK, False)
    flags = ("--closed", "--duration", "100ms", "--method", "GET", "--connections", "1")
    done = cli("bench", server.url, *flags, folder=tmp_path)
    assert done.code == 0, done.err
    assert "closed loop, 1 connection," in done.out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "neither --rate nor --closed"),
        (("--rate", "10", "--duration", "soon"), "--duration is 'soon'"),
        (("--rate", "-1"), "--rate is -1.0"),
        (("--rate", "10", "--closed"), "not allowed with"),
        (("--rate", "10", "--header", "nothing"), "has no colon"),
        (("--rate", "10", "--body", "gone"), "can't be read"),
        (("--rate", "10", "--plot", "x.pdf"), "no drawing's name"),
        (("--rate", "10"), "isn't known what to send"),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    server: Server, tmp_path: Path, flags: tuple[str, ...], told: str
) -> None:
    (tmp_path / "in.json").write_text("[[1]]")
    needs_body = flags and not {"--body", "--header"} & set(flags) and "what to send" not in told
    more = ("--input", "in.json") if needs_body else ()
    done = cli("bench", server.url, *flags, *more, folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_is_not_there_is_told_as_that(tmp_path: Path, scheme: str) -> None:
    done = cli("bench", f"{scheme}://127.0.0.1:1", *QUICK, folder=tmp_path)
    assert done.code == 8
    assert "can't be reached" in done.err
    assert "Connection refused" in done.err
    assert "--input" not in done.err


def test_a_path_that_is_only_read_is_told_how_to_be_asked(server: Server, tmp_path: Path) -> None:
    document = json.dumps({"paths": {"/health": {"get": {}}}}).encode()
    server.answer = lambda number: (_whole(document), False)
    done = cli("bench", f"{server.url}/health", *QUICK, folder=tmp_path)
    assert done.code == 2
    assert "--method GET" in done.err


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


def test_figures_are_never_lost_for_a_drawing_that_can_not_be_written(server: Server, tmp_path: Path) -> None:
    flags = ("--method", "GET", "--plot", str(tmp_path / "gone" / "x.svg"))
    done = cli("bench", server.url, *QUICK, *flags, folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "there is no folder" in done.err
    assert server.count == 0
    (tmp_path / "full.svg").symlink_to("/dev/full")
    done = cli("bench", server.url, *QUICK, "--method", "GET", "--plot", "full.svg", folder=tmp_path)
    assert done.code == 2
    assert "latency" in done.out
    assert "--plot 'full.svg' can't be written" in done.err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--rate", "0"), "--rate is 0.0"),
        (("--rate", "1", "--duration", "0s"), "--duration is 0.0"),
        (("--rate", "1", "--timeout", "0s"), "--timeout is 0.0"),
        (("--rate", "1", "--connections", "0"), "--connections is 0"),
        (("--rate", "1", "--method", "get"), "--method is 'get'"),
        (("--rate", "1", "--duration", "30"), "write --duration 30s"),
        (("--rate", "1", "--warm-up", "2"), "write --warm-up 2s"),
        (("--rate", "1", "--header", ": x"), "the header '' can't be sent"),
        (("--rate", "1", "--header", "content-length: 3"), "the header 'content-length' can't be given"),
        (("--closed", "--poisson"), "--poisson"),
    ],
)
def test_flags_are_named_as_they_were_written(
    server: Server, tmp_path: Path, flags: tuple[str, ...], told: str
) -> None:
    (tmp_path / "in.json").write_text("[[1]]")
    done = cli("bench", server.url, *flags, "--input", "in.json", folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert server.count == 0


def test_a_body_that_would_not_be_sent_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("[[1]]")
    flags = ("--method", "GET", "--input", "in.json")
    done = cli("bench", server.url, *QUICK, *flags, folder=tmp_path)
    assert done.code == 2
    assert "GET" in done.err
    assert "--input" in done.err
