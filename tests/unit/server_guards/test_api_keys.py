"""API keys: made, asked for, changed while the server runs."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from clouddeploy.errors import NotFound, SpecError
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.guards import api_keys
from clouddeploy.server.guards.api_keys import ApiKeys, add, main, read, remove
from clouddeploy.server.guards.watched import Watched
from tests.unit.server_guards.conftest import Start


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_who_has_a_key_comes_in_and_nobody_else(start: Start, keys: Path) -> None:
    key = add(keys, "phone")
    asked = start(api_keys=keys)
    assert asked.ask(authorization=f"Bearer {key}").status == 200
    assert asked.ask(authorization=f"bearer  {key}").status == 200
    assert asked.ask(x_api_key=key).status == 200
    for wrong in (
        "",
        f"Bearer {key[:-1]}",
        f"Bearer {key}x",
        "Bearer x",
        f"Basic {key}",
        "Bearer",
        f"Bearer {key}é",
    ):
        answer = asked.ask(authorization=wrong)
        assert (answer.status, answer.code) == (401, "unauthorized"), wrong
        assert answer.headers["www-authenticate"] == 'Bearer realm="clouddeploy"'


def test_health_is_open_and_metrics_are_not(start: Start, keys: Path) -> None:
    add(keys, "phone")
    asked = start(api_keys=keys)
    assert asked.ask("/health").status == 200
    assert asked.ask("/metrics").status == 401
    assert start(api_keys=keys, open_paths="/metrics").ask("/health").status == 401


def test_a_path_that_only_looks_open_is_not(start: Start, keys: Path) -> None:
    add(keys, "phone")
    asked = start(api_keys=keys)
    for path in ("/health/", "/health/../static", "//health", "/HEALTH", "/static?/health", "/health%00"):
        assert asked.ask(path).status == 401, path


def test_a_large_body_is_refused_before_it_comes(start: Start, keys: Path) -> None:
    add(keys, "phone")
    client = start(api_keys=keys).server.client()
    client.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\nexpect: 100-continue\r\n\r\n")
    assert client.answer().status == 401


def test_the_file_holds_no_key_and_is_its_owners(keys: Path) -> None:
    key = add(keys, "phone")
    assert key not in keys.read_text()
    assert key.rpartition("_")[2] not in keys.read_text()
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600


def test_keys_are_changed_without_a_restart(keys: Path) -> None:
    now = 0.0
    old = add(keys, "old")
    known = ApiKeys(keys)
    known._file = Watched(keys, read, clock=lambda: now)
    new = add(keys, "new")
    now += 2
    assert (known.name(old), known.name(new)) == ("old", "new"), "both are known while clients change"
    remove(keys, old.split("_")[1])
    now += 2
    with pytest.raises(WireError, match="isn't known"):
        known.name(old)
    keys.write_text("damaged")
    now += 2
    assert known.name(new) == "new", "what was known stays"


def test_an_expired_key_is_refused_and_told_so(keys: Path) -> None:
    key = add(keys, "phone", days=1)
    assert ApiKeys(keys).name(key) == "phone"
    with pytest.raises(WireError, match="expired at"):
        ApiKeys(keys, clock=lambda: time.time() + 86_401).name(key)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"keys": [1]}', '{"keys": [{"id": "x"}]}', '{"keys": [{"id": 1, "name": 2, '
    '"sha256": "x", "created": 0}]}']
)  # fmt: skip
def test_a_file_that_is_none_of_keys_is_refused_at_the_start(keys: Path, text: str) -> None:
    keys.write_text(text)
    with pytest.raises(SpecError, match="no file of API keys"):
        ApiKeys(keys)


def test_a_missing_file_is_refused_at_the_start(keys: Path) -> None:
    with pytest.raises(SpecError, match="can't be read"):
        ApiKeys(keys)


def test_the_command_makes_lists_and_removes_keys(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(keys), "add", "--name", "phone", "--days", "2"]) == 0
    key = capsys.readouterr().out.strip()
    assert ApiKeys(keys).name(key) == "phone"
    assert main([str(keys), "list"]) == 0
    shown = capsys.readouterr().out
    assert "phone" in shown
    assert key not in shown
    id = key.split("_")[1]
    assert main([str(keys), "remove", id]) == 0
    assert main([str(keys), "remove", id]) == NotFound.exit_code
    assert json.loads(keys.read_text())["keys"] == []
    assert os.listdir(keys.parent) == ["keys.json"], "nothing is left over"


def test_open_paths_must_be_paths(start: Start, keys: Path) -> None:
    add(keys, "phone")
    with pytest.raises(SpecError, match="open_paths"):
        start(api_keys=keys, open_paths="health")


def test_two_keys_never_are_the_same() -> None:
    assert len({api_keys.make("x", 0)[0] for _ in range(100)}) == 100
