"""What browsers are told: CORS and security headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from clouddeploy.errors import SpecError
from clouddeploy.server.message import Response
from tests.unit.server_guards.conftest import Start

PREFLIGHT = {"access_control_request_method": "POST", "access_control_request_headers": "content-type"}
ALLOW = "access-control-allow-origin"


def test_no_page_may_ask_by_default(start: Start) -> None:
    asked = start()
    assert not [n for n in asked.ask(origin="https://a.example").headers if n.startswith("access-control")]
    assert asked.ask(method="OPTIONS", origin="https://a.example", **PREFLIGHT).status == 405


def test_pages_of_named_origins_may(start: Start) -> None:
    asked = start(cors_origins="https://a.example, http://localhost:3000")
    answer = asked.ask(origin="https://a.example")
    assert (answer.headers[ALLOW], answer.headers["vary"]) == ("https://a.example", "origin")
    assert "access-control-allow-credentials" not in answer.headers
    for origin in ("https://b.example", "https://a.example.evil", "null", "http://a.example", "*"):
        answer = asked.ask(origin=origin)
        assert ALLOW not in answer.headers, origin
        assert answer.headers["vary"] == "origin", "a cache must not give one origin's answer to another"
    assert asked.ask(path="/stream", origin="https://a.example").headers[ALLOW] == "https://a.example"


def test_any_page_may_with_a_star(start: Start) -> None:
    assert start(cors_origins="*").ask(origin="https://b.example").headers[ALLOW] == "*"


def test_a_browser_that_asks_beforehand_is_told_without_credentials(start: Start, tmp_path: Path) -> None:
    from clouddeploy.server.guards.api_keys import add

    add(tmp_path / "keys.json", "a")
    asked = start(cors_origins="https://a.example", api_keys=tmp_path / "keys.json")
    answer = asked.ask("/echo", "OPTIONS", origin="https://a.example", **PREFLIGHT)
    assert (answer.status, answer.headers[ALLOW]) == (204, "https://a.example")
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert ALLOW not in asked.ask("/echo", "OPTIONS", origin="https://b.example", **PREFLIGHT).headers
    answer = asked.ask("/echo", "POST", b"x", origin="https://a.example")
    assert (answer.status, answer.headers[ALLOW]) == (401, "https://a.example"), "the page may read why"


@pytest.mark.parametrize("origin", ["example.com", "https://a.example/", "https://*.example", "ftp://a"])
def test_what_is_no_origin_is_refused_at_the_start(start: Start, origin: str) -> None:
    with pytest.raises(SpecError, match="cors_origins"):
        start(cors_origins=origin)


def test_answers_forbid_what_browsers_would_make_of_them(start: Start) -> None:
    asked = start()
    page = Response(200, b"<p>", "text/html; charset=utf-8")
    asked.server.app.routes.add("GET", "/page", lambda exchange: exchange.reply(page))
    headers = asked.ask().headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" not in headers
    headers = asked.ask("/page").headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "strict-transport-security" not in headers
    assert "x-content-type-options" not in start(security_headers=False).ask().headers
