"""Versions of a running server: watched, chosen, swapped, shadowed, and told of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.testing.served import Answered, Clients, ServerProcess, until, write_model

TOKEN = {"x-admin-token": "open"}
ENVIRON = {"CLOUDDEPLOY_SERVE_ADMIN_TOKEN": "open"}
ADMIN = "/v1/admin/models/double"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for number in (1, 2):
        write_model(tmp_path / "models" / "double" / str(number), number)
    return tmp_path / "models"


@pytest.fixture
def server(models: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(
        models, environ=ENVIRON, workers=2, versions="all", state=tmp_path / "state" / "models.json"
    ) as found:
        yield found


def admin(server: ServerProcess, what: str, value: Any = None, method: str = "") -> Answered:
    return server.call(f"{ADMIN}{what}", value, method=method, headers=TOKEN)


def versions(server: ServerProcess, count: int = 24, headers: dict[str, str] | None = None) -> set[str]:
    return {server.version(headers) for _ in range(count)}


def test_what_appears_is_served_and_what_goes_is_not(models: Path) -> None:
    with ServerProcess(models, workers=2) as server:
        assert versions(server) == {"2"}
        write_model(models / "double" / "10", 10)
        until(lambda: versions(server) == {"10"}, "version 10 answers alone")
        shutil.rmtree(models / "double" / "10")
        until(lambda: versions(server) == {"2"}, "version 2 answers again")
        write_model(models / "other" / "1", 5)

        def other() -> Answered:
            return server.call("/v1/models/other:predict", {"instances": [[1, 1]]})

        until(lambda: all(other().status == 200 for _ in range(8)), "every worker has the other model")
        assert other().body == {"predictions": [[5005.0, 5005.0]]}
        unnamed = server.call("/predict", {"input": [1, 2]})
        assert unnamed.status == 404
        assert unnamed.body["error"]["message"] == "the request names no model"


def test_a_half_copied_version_is_not_taken(models: Path, tmp_path: Path) -> None:
    whole = write_model(tmp_path / "whole", 3)
    with ServerProcess(models, settle_s=0.4) as server:
        target = models / "double" / "3"
        for path in sorted(whole.rglob("*"), key=lambda p: p.name != "clouddeploy.json"):
            place = target / path.relative_to(whole)
            if path.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(path.read_bytes())
            assert server.version() == "2"
        until(lambda: server.version() == "3", "version 3 answers")
        assert not [line for line in server.lines if "can't be loaded" in line]


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("raise ValueError('weights are spoilt')\n", "weights are spoilt"),
        ("def predict(x):\n    raise KeyError('layer')\n", "layer"),
        ("import sys\nsys.exit(3)\n", "exit(3)"),
        ("def predict(x)\n", "SyntaxError"),
    ],
)
def test_a_corrupt_version_is_refused_with_its_reason_and_the_old_one_stays(
    models: Path, handler: str, reason: str
) -> None:
    with ServerProcess(models, environ=ENVIRON) as server:
        write_model(
            models / "double" / "3", 3, handler=handler, files={"warmup.json": '{"inputs": [[1, 2]]}'}
        )

        def row() -> dict[str, str]:
            return dict(admin(server, "").body["versions"].get("3", {}))

        until(lambda: row().get("state") == "failed", "version 3 is refused")
        assert reason in row()["reason"]
        assert versions(server, 8) == {"2"}
        write_model(models / "double" / "3", 3)
        until(lambda: server.version() == "3", "the mended version answers")


def test_a_served_folder_that_is_spoilt_goes_on_as_it_was(models: Path) -> None:
    with ServerProcess(models, environ=ENVIRON) as server:
        write_model(models / "double" / "2", 7, handler="raise ValueError('spoilt')\n")
        until(lambda: admin(server, "").body["versions"]["2"]["reason"], "it is noticed")
        assert server.call("/predict", {"input": [1, 2]}).headers["x-clouddeploy-model"] == "release-2"


def test_weights_divide_and_a_key_sticks_in_every_worker_and_after_a_restart(
    server: ServerProcess, models: Path, tmp_path: Path
) -> None:
    wish = {"weights": {"1": 50, "2": 50}, "sticky": "header:x-user"}
    assert admin(server, "/weights", wish, "PUT").status == 200
    until(lambda: versions(server, 40) == {"1", "2"}, "both versions answer")
    users = [f"u{i}" for i in range(12)]

    def assigned(running: ServerProcess) -> list[set[str]]:
        return [versions(running, 6, {"x-user": user}) for user in users]

    first = until(
        lambda: (found := assigned(server)) and all(len(v) == 1 for v in found) and found, "it sticks"
    )
    assert set.union(*first) == {"1", "2"}
    server.stop()
    with ServerProcess(models, workers=2, versions="all", state=tmp_path / "state" / "models.json") as again:
        assert assigned(again) == first


def test_labels_name_versions(server: ServerProcess) -> None:
    assert admin(server, "/labels", {"stable": "1", "canary": "2"}, "PUT").status == 200

    def labelled(label: str) -> Answered:
        return server.call(f"/v1/models/double/labels/{label}:predict", {"instances": [[1, 1]]})

    until(lambda: all(labelled("stable").status == 200 for _ in range(8)), "every worker knows the label")
    assert labelled("stable").headers["x-clouddeploy-version"] == "1"
    assert labelled("canary").headers["x-clouddeploy-version"] == "2"
    assert labelled("beta").status == 404


def test_loading_and_unloading_by_hand_is_done_in_every_worker_when_it_is_answered(
    server: ServerProcess,
) -> None:
    with Clients(server.url, 4) as clients:
        assert admin(server, "/versions/2/unload", {}).status == 200
        assert versions(server) == {"1"}
        assert admin(server, "/versions/2/load", {}).status == 200
        assert versions(server) == {"2"}
    assert clients.wrong == []
    assert admin(server, "/versions/9/load", {}).status == 404


def test_what_labels_or_weights_name_cant_be_unloaded(server: ServerProcess) -> None:
    admin(server, "/labels", {"stable": "1"}, "PUT")
    refused = admin(server, "/versions/1/unload", {})
    assert refused.status == 400
    assert "change them first" in refused.body["error"]["fix"]


def test_weights_of_a_version_that_isnt_loaded_are_refused(server: ServerProcess) -> None:
    refused = admin(server, "/weights", {"1": 50, "9": 50}, "PUT")
    assert refused.status == 400
    assert "version 9 isn't loaded" in refused.body["error"]["message"]
    assert admin(server, "/weights", {"1": 50, "2": 60}, "PUT").status == 400
    assert "wish" in admin(server, "").body


def test_a_policy_can_be_changed_while_it_runs(server: ServerProcess) -> None:
    assert admin(server, "/policy", {"policy": "1"}, "PUT").status == 200
    until(lambda: versions(server) == {"1"}, "version 1 answers alone")
    assert admin(server, "/policy", method="DELETE").status == 200
    until(lambda: versions(server) == {"2"}, "the newest answers")


def test_a_shadow_gets_copies_and_changes_nothing_for_the_caller(server: ServerProcess) -> None:
    assert admin(server, "/weights", {"1": 100}, "PUT").status == 200
    assert admin(server, "/shadow", {"version": "2", "percent": 100}, "PUT").status == 200
    until(lambda: versions(server) == {"1"}, "version 1 answers alone")
    with Clients(server.url, 4) as clients:
        until(lambda: sum(clients.right.values()) > 200, "requests are answered")
    assert clients.wrong == []
    assert set(clients.right) == {"1"}

    def copies() -> int:
        admin(server, "/shadow", {"version": "2", "percent": 50}, "PUT")  # lets the worker tell anew
        workers = server.call("/v1/admin/models", headers=TOKEN).body["workers"].values()
        return sum(worker["shadows"].get("double/2", {}).get("different", 0) for worker in workers)

    assert until(copies, "copies are counted") > 0


def test_a_shadow_that_fails_costs_nobody_anything(server: ServerProcess, models: Path) -> None:
    write_model(models / "double" / "3", 3, handler=FAILS_LATER)
    until(lambda: "3" in admin(server, "").body["versions"], "it is seen")
    assert admin(server, "/versions/3/load", {}).status == 200
    admin(server, "/weights", {"1": 100}, "PUT")
    admin(server, "/shadow", {"version": "3", "percent": 100}, "PUT")
    until(lambda: versions(server) == {"1"}, "version 1 answers alone")
    with Clients(server.url, 4) as clients:
        until(lambda: sum(clients.right.values()) > 100, "requests are answered")
    assert clients.wrong == []


FAILS_LATER = """\
def predict(inputs):
    if inputs.any():
        raise ValueError("a copy")
    return inputs
"""


def test_the_state_file_alone_steers_every_worker_and_a_wrong_one_is_left_aside(
    models: Path, tmp_path: Path
) -> None:
    state = tmp_path / "models.json"
    with ServerProcess(models, workers=2, versions="all", state=state) as server:
        assert server.call("/v1/admin/models", headers=TOKEN).status == 404
        state.write_text(json.dumps({"models": {"double": {"weights": {"1": 100}}}}))
        until(lambda: versions(server) == {"1"}, "both workers follow")
        state.write_text('{"models": {"double": {"weights": {"1": 3}}}}')
        until(lambda: [line for line in server.lines if "these make 3" in line], "it is told")
        assert versions(server) == {"1"}
        extra = write_model(tmp_path / "elsewhere" / "blue", 30)
        wish = {"folders": {"blue": str(extra)}, "weights": {"blue": 100}, "load": ["blue"]}
        state.write_text(json.dumps({"models": {"double": wish}}))
        until(lambda: versions(server) == {"blue"}, "a folder of its own is served")


@pytest.mark.parametrize("headers", [{}, {"x-admin-token": "wrong"}, {"authorization": "Bearer wrong"}])
def test_without_the_token_nothing_is_told_or_changed(server: ServerProcess, headers: dict[str, str]) -> None:
    assert server.call("/v1/admin/models", headers=headers).status == 401
    assert server.call(f"{ADMIN}/weights", {"1": 100}, method="PUT", headers=headers).status == 401
    assert server.call("/v1/admin/models", headers={"authorization": "Bearer open"}).status == 200


def test_unknown_models_and_versions_are_told_apart_from_failures(server: ServerProcess) -> None:
    assert server.call("/v1/models/nope:predict", {"instances": [[1, 1]]}).status == 404
    assert server.call("/v1/models/double/versions/9:predict", {"instances": [[1, 1]]}).status == 404
    one = server.call("/v1/models/double/versions/1:predict", {"instances": [[1, 1]]})
    assert (one.status, one.headers["x-clouddeploy-version"]) == (200, "1")
