from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.engine import LockMoved, apply, make_plan, make_removal
from clouddeploy.errors import (
    CloudError,
    DeployFailed,
    DeploymentLocked,
    InputError,
    NameConflict,
    NotFound,
    PredictionError,
)
from clouddeploy.model import Model
from clouddeploy.providers.memory import Client, Memory, MemoryCloud
from clouddeploy.providers.memory.lock import MemoryLock
from clouddeploy.spec import Alarm, Autoscaling, Compute, Deployment
from clouddeploy.testing.models import broken_model, linear_model

JSON = "application/json"
BODY = b'{"inputs":[[1,2,3,4]]}'


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    folder = tmp_path_factory.mktemp("models")
    return [linear_model(folder / str(factor), factor) for factor in (1, 2, 3)]


@pytest.fixture
def memory() -> Memory:
    return Memory(cloud=MemoryCloud())


def deploy(memory: Memory, model: Model, **wish: Any) -> None:
    deployment = Deployment(name="digits", model=model, **wish)
    graph = memory.compile(deployment)
    apply(make_plan(graph.resources, stale=graph.stale()))


def restore(memory: Memory, release: str | None = None) -> None:
    graph = memory.restore("digits", release)
    apply(make_plan(graph.resources, stale=graph.stale()))


def answer(memory: Memory, body: bytes = BODY) -> bytes:
    return memory.invoke("digits", body, content_type=JSON, accept=JSON).body


def test_what_was_stored_is_what_answers(memory: Memory, models: list[Model]) -> None:
    deploy(memory, models[0])
    assert json.loads(answer(memory)) == {"predictions": [[8.571428, 10.0, 11.428572]]}
    status = memory.status("digits")
    assert (status.phase, status.native, status.copies) == ("ready", "InService", 1)
    assert status.release == memory.releases("digits")[0]
    assert [(row.name, row.target, row.phase) for row in memory.deployments()] == [
        ("digits", "memory", "ready")
    ]
    assert memory.describe("digits")["endpoint"] == "digits"


def test_releases_are_kept_and_restored_the_last_served_first(memory: Memory, models: list[Model]) -> None:
    for model in models:
        deploy(memory, model, keep_releases=2)
    third, second, first = memory.releases("digits")
    restore(memory)
    assert memory.releases("digits") == [second, third, first]
    restore(memory, first[:12])
    assert memory.releases("digits") == [first, second, third]
    assert answer(memory) == b'{"predictions":[[8.571428,10.0,11.428572]]}'
    with pytest.raises(NotFound, match="no release 'beef'"):
        memory.restore("digits", "beef")
    with pytest.raises(NotFound, match="nothing runs"):
        memory.restore("letters", None)


def test_with_nothing_kept_there_is_no_way_back(memory: Memory, models: list[Model]) -> None:
    deploy(memory, models[0])
    deploy(memory, models[1], keep_releases=0)
    assert len(memory.releases("digits")) == 1
    with pytest.raises(NotFound, match="no earlier release"):
        memory.restore("digits", None)


def test_nothing_is_left_after_a_removal(memory: Memory, models: list[Model]) -> None:
    for model in models:
        deploy(memory, model)
    apply(make_removal(memory.removal("digits").stale()))
    assert memory.client.cloud.inventory() == {}
    assert memory.status("digits").phase == "missing"
    assert memory.removal("digits").stale() == []


def test_the_stored_files_go_with_the_cloud(models: list[Model]) -> None:
    cloud = MemoryCloud()
    deploy(Memory(cloud=cloud), models[0])
    folder = cloud._folder
    assert folder is not None
    assert list(folder.iterdir())
    del cloud
    gc.collect()
    assert not folder.exists()


def test_a_release_that_does_not_start_fails_with_its_log(
    memory: Memory, models: list[Model], tmp_path: Path
) -> None:
    with pytest.raises(DeployFailed) as caught:
        deploy(memory, broken_model(tmp_path / "a", "load"))
    assert "broken on purpose" in "\n".join(caught.value.log_tail)
    assert memory.client.cloud.inventory() == {}
    deploy(memory, models[0])
    before = memory.client.cloud.inventory()
    with pytest.raises(DeployFailed, match="could not update endpoint digits"):
        deploy(memory, broken_model(tmp_path / "b", "import"))
    assert memory.client.cloud.inventory() == before
    assert answer(memory)


def test_a_start_can_be_made_to_fail_in_the_cloud(memory: Memory, models: list[Model]) -> None:
    memory.client.cloud.fail_next_start()
    with pytest.raises(DeployFailed, match="failed on purpose"):
        deploy(memory, models[0])
    deploy(memory, models[0])
    assert answer(memory)


def test_errors_of_a_request_keep_their_code(memory: Memory, tmp_path: Path, models: list[Model]) -> None:
    deploy(memory, models[0])
    with pytest.raises(InputError) as caught:
        answer(memory, b"{")
    assert (caught.value.code, caught.value.status) == ("bad_json", 400)
    with pytest.raises(PredictionError) as failed:
        answer(memory, b'{"inputs":[[1,2]]}')
    assert (failed.value.code, failed.value.status) == ("prediction_failed", 500)
    with pytest.raises(NotFound):
        memory.invoke("letters", BODY, content_type=JSON, accept=JSON)
    metrics = memory.metrics("digits", since_s=60)
    assert (metrics["requests"], metrics["errors_4xx"], metrics["errors_5xx"]) == (2, 1, 1)
    assert metrics["latency_ms"] > 0
    lines = list(memory.logs("digits", since_s=60, limit=4))
    assert len(lines) == 4
    assert any(line.startswith("400 1 bytes") for line in lines)
    assert list(memory.logs("letters", since_s=60, limit=4)) == []
    with pytest.raises(NotFound):
        memory.metrics("letters", since_s=60)


def test_what_belongs_to_others_is_left_alone(memory: Memory, models: list[Model]) -> None:
    deploy(memory, models[0])
    theirs = Deployment(name="digits-2", model=models[0])
    graph = memory.compile(theirs)
    tags = {"team": "search"}
    memory.client(
        "CreateArtifact", name=graph.resources[0].key.partition("/")[2], state={}, tags=tags, files=_Bytes()
    )
    before = memory.client.cloud.inventory()
    with pytest.raises(NameConflict, match="no tag clouddeploy:deployment"):
        make_plan(graph.resources)
    with pytest.raises(NameConflict):
        graph.resources[0].create(graph.resources[0].desired())
    assert memory.removal("digits-2").stale() == []
    assert memory.client.cloud.inventory() == before


class _Bytes:
    """Files of nobody in particular."""

    def write(self, out: Path) -> Path:
        out.mkdir()
        return out


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("CreateRelease", {"name": "r", "state": {"artifact": "none"}, "tags": {}}, "ValidationException"),
        ("UpdateEndpoint", {"name": "e", "state": {"release": "none"}, "tags": {}}, "NotFound"),
        ("DescribeScaling", {"name": "s"}, "NotFound"),
        ("DeleteArtifact", {"name": "digits/none"}, "NotFound"),
        ("InvokeEndpoint", {"name": "e", "body": b"", "content_type": JSON, "accept": JSON}, "NotFound"),
        ("RebootEverything", {}, "UnknownOperation"),
    ],
)
def test_the_cloud_refuses_what_makes_no_sense(operation: str, params: dict[str, Any], code: str) -> None:
    with pytest.raises(CloudError) as caught:
        Client(MemoryCloud())(operation, **params)
    assert caught.value.code == code
    assert caught.value.operation == f"memory.{operation}"


def test_the_cloud_refuses_to_delete_or_change_what_is_in_use(memory: Memory, models: list[Model]) -> None:
    deploy(memory, models[0])
    rows = {row["kind"]: row for row in memory.client("ListObjects", tag="clouddeploy:deployment")}
    for kind in ("Artifact", "Release", "Endpoint"):
        with pytest.raises(CloudError, match="is used by"):
            memory.client(f"Delete{kind}", name=rows[kind]["name"])
    with pytest.raises(CloudError, match="can't be changed"):
        memory.client("UpdateRelease", name=rows["Release"]["name"], state={}, tags={})
    with pytest.raises(CloudError, match="exists already"):
        memory.client("CreateScaling", name="digits", state={}, tags={})


def test_whatever_breaks_in_the_transport_is_a_cloud_error_that_names_the_call() -> None:
    def broken(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        raise ConnectionResetError("reset")

    with pytest.raises(CloudError, match=r"memory\.GetLock failed") as caught:
        Client(MemoryCloud(), broken)("GetLock", name="digits")
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_providers_without_a_cloud_of_their_own_share_one(models: list[Model]) -> None:
    deploy(Memory(), models[0])
    assert answer(Memory())
    apply(make_removal(Memory().removal("digits").stale()))


def test_the_plan_tells_what_one_process_cannot_do(memory: Memory, models: list[Model]) -> None:
    plain = Deployment(name="digits", model=models[0])
    assert memory.check(plain) == []
    full = Deployment(
        name="digits",
        model=models[0],
        compute=Compute(memory_mb=512),
        autoscaling=Autoscaling(max=3, concurrency=4),
        env={"A": "b"},
        alarms=(Alarm(metric="errors_5xx", above=1),),
    )
    assert {f.field: f.support for f in memory.check(full)} == {
        "autoscaling": "approximated",
        "compute": "approximated",
        "env": "impossible",
        "alarms": "impossible",
    }
    assert memory.costs(full)[0].usd_per_hour == 0


def test_a_package_is_the_same_artifact(memory: Memory, models: list[Model], tmp_path: Path) -> None:
    out = memory.package(models[0], tmp_path / "out", compression="none")
    assert (out / "clouddeploy.json").is_file()
    assert memory.package(models[0], tmp_path / "m.tar.gz", compression="gzip").is_file()


def test_a_lock_keeps_the_second_away_and_tells_who_holds_it() -> None:
    client = Client(MemoryCloud())
    first, second = MemoryLock(client, "digits", holder="ada"), MemoryLock(client, "digits")
    first.acquire(first.peek())
    with pytest.raises(DeploymentLocked, match="by ada since 20"):
        second.peek()
    first.release(forget=False)
    first.release(forget=False)
    second.acquire(second.peek())
    second.release(forget=True)
    assert client.cloud.inventory() == {}


def test_a_lock_that_moved_since_the_look_is_not_taken() -> None:
    client = Client(MemoryCloud())
    first, second = MemoryLock(client, "digits"), MemoryLock(client, "digits")
    seen = second.peek()
    first.acquire(first.peek())
    with pytest.raises(DeploymentLocked):
        second.acquire(seen)
    first.release(forget=False)
    with pytest.raises(LockMoved):
        second.acquire(seen)


def test_an_expired_lock_does_not_count() -> None:
    client = Client(MemoryCloud())
    first = MemoryLock(client, "digits", lease_s=0)
    first.acquire(first.peek())
    second = MemoryLock(client, "digits")
    second.acquire(second.peek())
    second.release(forget=False)


def test_a_lock_whose_answers_are_lost_is_taken_and_given_back(caplog: pytest.LogCaptureFixture) -> None:
    cloud = MemoryCloud()

    def losing(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        found = cloud.answer(service, operation, params)
        if operation == "PutLock":
            raise ConnectionResetError("answer lost")
        return found

    lock = MemoryLock(Client(cloud, losing), "digits")
    lock.acquire(lock.peek())
    with pytest.raises(DeploymentLocked):
        MemoryLock(Client(cloud), "digits").peek()
    lock.release(forget=False)
    assert "could not be given back" in caplog.text
    other = MemoryLock(Client(cloud), "digits")
    other.acquire(other.peek())
    other.release(forget=True)
