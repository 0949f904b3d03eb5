"""The page and what it is drawn from."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
from pathlib import Path

from clouddeploy.server import dashboard
from clouddeploy.testing.served import ServerProcess, until, write_model
from tests.unit.server_protocols.conftest import Serve

PAGE = (Path(dashboard.__file__).parent / "page.html").read_text()


def test_the_policy_lets_the_page_run_its_own_code_and_nothing_else(serve: Serve) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serve().port, timeout=20)
    connection.request("GET", "/dashboard")
    reply = connection.getresponse()
    body = reply.read().decode()
    connection.close()
    # A browser holds a page to every policy it gets: the strictest counts, which is the page's own.
    policy = max(reply.headers.get_all("content-security-policy") or [""], key=lambda one: "sha256" in one)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    for kind in ("script", "style"):
        (text,) = re.findall(f"<{kind}>(.*?)</{kind}>", body, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_the_page_holds_all_it_needs() -> None:
    addresses = re.findall(r"https?://[^\s\"'<>)]+", PAGE)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\sstyle=|\son[a-z]+=|<link[^>]+stylesheet|<script\s|@import", PAGE)
    assert "prefers-color-scheme: dark" in PAGE
    assert '<html lang="en">' in PAGE


def test_the_figures_are_there_without_traffic_and_with_it(serve: Serve) -> None:
    server = serve()
    told = server.get("/dashboard/data").json
    assert told["now"]["rate"] == 0
    assert told["now"]["p50"] is None
    assert [one["version"] for one in told["recent"]["versions"]] in ([], ["1"])
    for _ in range(20):
        server.post("/predict", {"input": [1, 2]})
    server.get("/nothing")
    until(lambda: server.get("/dashboard/data").json["recent"]["routes"], "the requests are shown")
    told = server.get("/dashboard/data").json
    (version,) = told["recent"]["versions"]
    assert (version["model"], version["version"], version["share"], version["requests"]) == ("m", "1", 1, 20)
    assert version["p50"] > 0
    assert told["recent"]["codes"] == [["not_found", 1]]
    assert sum(count for _, count in told["recent"]["batches"]) >= 20
    assert told["points"][-1]["time"] >= told["points"][0]["time"]
    assert told["machine"]["workers"][0]["memory"] > 0


def test_an_open_page_gets_events_and_doesnt_hold_up_a_stop(tmp_path: Path) -> None:
    with ServerProcess(write_model(tmp_path / "model", 1), drain_s=30) as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
        connection.request("GET", "/dashboard/data", headers={"accept": "text/event-stream"})
        response = connection.getresponse()
        assert response.headers["content-type"] == "text/event-stream"
        for _ in range(2):
            line = response.readline()
            assert line.startswith(b"data: {")
            assert json.loads(line[6:])["server"]["ready"] is True
            assert response.readline() == b"\n"
        assert server.stop() == 0
        response.read()
        connection.close()
