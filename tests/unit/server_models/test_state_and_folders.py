"""The file with the wishes, and the folders that are watched."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.errors import SpecError
from clouddeploy.server.models.folders import Folders, mark_of, places
from clouddeploy.server.models.state import Shadow, StateFile, Wish
from clouddeploy.testing.served import write_model


def test_a_wish_survives_the_file(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "models.json")
    wish = Wish(
        policy="latest:2",
        weights={"1": 90.0, "2": 10.0},
        sticky="header:x-user",
        salt="s",
        labels={"stable": "1"},
        shadow=Shadow("2", 5.0),
        load=("1",),
        unload=("7",),
        folders={"blue": "/models/blue"},
        attempt=3,
    )
    assert file.read() == {}
    assert file.change("digits", lambda _: wish) == {"digits": wish}
    assert file.read() == {"digits": wish}
    assert wish.named == {"1", "2"}


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"weights": {"1": 50, "2": 40}}, "these make 90"),
        ({"weights": {"1": -1, "2": 101}}, "percent from 0 to 100"),
        ({"weights": {"1": True}}, "percent from 0 to 100"),
        ({"weights": [1]}, "an object"),
        ({"shadow": {"version": "1", "percent": 0}}, "above 0"),
        ({"shadow": {"version": "../1", "percent": 1}}, "version's name"),
        ({"labels": {"stable": "a/b"}}, "letters"),
        ({"sticky": "user"}, "header:<name>"),
        ({"policy": "newest"}, "latest:N"),
        ({"folders": {"1": "relative"}}, "absolute path"),
        ({"load": "1"}, "a list"),
        ({"colour": "red"}, "policy, weights"),
    ],
)
def test_a_wrong_state_is_refused_with_the_place_and_what_is_allowed(
    tmp_path: Path, wish: dict[str, Any], told: str
) -> None:
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"models": {"digits": wish}}))
    with pytest.raises(SpecError, match=told):
        StateFile(path).read()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"models": []}', '{"models": {"a/b": {}}}', "[" * 5000])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "models.json"
    path.write_text(text)
    with pytest.raises(SpecError):
        StateFile(path).read()


def test_a_refused_change_changes_nothing(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "models.json")
    file.change("digits", lambda wish: replace(wish, labels={"stable": "1"}))
    with pytest.raises(SpecError):
        file.change("digits", lambda wish: replace(wish, weights={"1": 50.0}))
    assert file.read()["digits"] == Wish(labels={"stable": "1"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models.json", "models.json.lock"]


def test_no_change_is_lost_when_many_change_at_once(tmp_path: Path) -> None:
    path = tmp_path / "models.json"

    def add(number: int) -> None:
        file = StateFile(path)
        for _ in range(5):
            file.change("digits", lambda wish: replace(wish, attempt=wish.attempt + 1))
            file.change(f"m{number}", lambda wish: replace(wish, attempt=wish.attempt + 1))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert StateFile(path).read()["digits"].attempt == 20


def test_versions_are_whole_numbers_in_a_models_folder(tmp_path: Path) -> None:
    for name in ("a/1", "a/002", "a/old", "a/.3", "b", ".hidden/1"):
        write_model(tmp_path / name, 1)
    (tmp_path / "a" / "9").mkdir()
    (tmp_path / "note.txt").write_text("x")
    assert set(places(tmp_path)) == {("a", "1"), ("a", "2"), ("b", "1")}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_folder_counts_when_it_has_stopped_to_change(tmp_path: Path) -> None:
    clock = Clock()
    folders = Folders(tmp_path, 1.0, clock)
    folder = write_model(tmp_path / "a" / "1", 1)
    assert folders.scan({}) == {}
    assert folders.waiting
    clock.now = 0.9
    (folder / "weights.bin").write_bytes(b"half")
    assert folders.scan({}) == {}
    clock.now = 1.5
    assert folders.scan({}) == {}
    clock.now = 2.0
    assert set(folders.scan({})["a"]) == {"1"}
    assert not folders.waiting


def test_what_was_there_counts_until_its_change_has_settled(tmp_path: Path) -> None:
    clock = Clock()
    folders = Folders(tmp_path, 1.0, clock)
    folder = write_model(tmp_path / "a" / "1", 1)
    folders.scan({})
    clock.now = 1.5
    before = folders.scan({})["a"]["1"]
    (folder / "add.txt").write_text("2000")
    assert folders.scan({})["a"]["1"] == before
    clock.now = 3.0
    assert folders.scan({})["a"]["1"].mark == mark_of(folder) != before.mark
    shutil.rmtree(folder)
    assert "a" in folders.scan({})
    clock.now = 4.5
    assert folders.scan({}) == {}


def test_what_python_writes_beside_the_code_is_no_change(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "a" / "1", 1)
    before = mark_of(folder)
    (folder / "code" / "app" / "__pycache__").mkdir()
    (folder / "code" / "app" / "__pycache__" / "factor.pyc").write_bytes(b"x")
    assert mark_of(folder) == before


def test_a_root_that_cant_be_read_is_an_error_rather_than_no_models(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        Folders(tmp_path / "gone", 1.0).scan({})
