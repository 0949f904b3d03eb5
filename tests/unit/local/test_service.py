"""Services with real processes on loopback."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.errors import CloudError, DeployFailed, ModelError, NotFound, PredictionError
from clouddeploy.model import Model
from clouddeploy.providers.local.processes import SERVICE, marked
from clouddeploy.spec import Access, Autoscaling
from clouddeploy.testing.models import linear_model

BATCH = np.array([[1, 2, 3, 4]], dtype=np.float32)
BODY = b'{"inputs":[[1,2,3,4]]}'
HANDLER = """
import json, os, subprocess, sys, time
import numpy as np

def load(model_dir):
    if os.environ.get("CHILD"):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])

def predict(inputs):
    for _ in range(int(os.environ.get("LINES", "0"))):
        print("said " + "x" * 1000)
    time.sleep(float(os.environ.get("PAUSE_S", "0")))
    factor, secret = float(os.environ.get("FACTOR", "0")), float("SECRET_OF_THE_SHELL" in os.environ)
    return np.array([[factor, secret, os.getpid()]] * len(inputs), dtype=np.float64)
"""


@pytest.fixture
def deployer(tmp_path: Path) -> Iterator[Deployer]:
    deployer = Deployer("local", folder=tmp_path / "services")
    yield deployer
    for row in deployer.list():
        deployer.delete(row.name)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return linear_model(tmp_path, 1.0)


@pytest.fixture
def probe(tmp_path: Path) -> Model:
    """Tells the variable FACTOR, whether a secret of this process arrived, and its process's number."""
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe" / "x.txt").write_text("x")
    (tmp_path / "probe.py").write_text(HANDLER)
    return Model.from_folder(tmp_path / "probe", handler=tmp_path / "probe.py", check=False)


def place(deployer: Deployer, name: str = "it") -> Path:
    return Path(deployer.endpoint(name).describe()["folder"])


def token(deployer: Deployer) -> str:
    return str(json.loads((place(deployer) / "service.json").read_text())["token"])


def until(check: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it didn't come about"
        time.sleep(0.02)
    return found


class Load:
    """Clients that keep asking; what they got."""

    def __init__(self, url: str, clients: int = 3) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.errors: list[Exception] = []
        self._over = threading.Event()
        self._address = url.removeprefix("http://")
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            while not self._over.is_set():
                connection.request("POST", "/predict", BODY, {"content-type": "application/json"})
                answer = connection.getresponse()
                self.answers.append((answer.status, answer.read()))
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(error)
        finally:
            connection.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_no_request_is_lost_while_releases_come_and_go(
    deployer: Deployer, model: Model, tmp_path: Path
) -> None:
    endpoint = deployer.deploy(model, "it")
    old = endpoint.status().release
    with Load(endpoint.url) as load:
        until(lambda: len(load.answers) > 20)
        new = deployer.deploy(linear_model(tmp_path, 2.0), "it").status().release
        endpoint.split({old: 50, new: 50})
        endpoint.rollback(old)
        deployer.deploy(linear_model(tmp_path, 3.0), "it")
        seen = len(load.answers)
        until(lambda: len(load.answers) > seen + 20)
    assert load.errors == []
    assert {status for status, _ in load.answers} == {200}
    assert {round(json.loads(body)["predictions"][0][0], 2) for _, body in load.answers} == {
        8.57,
        17.14,
        25.71,
    }
    assert endpoint.metrics()["requests"] == len(load.answers)
    assert endpoint.metrics()["errors_5xx"] == 0


def test_a_service_outlives_who_deployed_it(deployer: Deployer, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from clouddeploy.deployer import Deployer
from clouddeploy.testing.models import linear_model
Deployer("local", folder={str(tmp_path / "services")!r}).deploy(linear_model(Path({str(tmp_path)!r})), "it")
"""
    subprocess.run([sys.executable, "-c", code], check=True, start_new_session=True)
    assert deployer.endpoint("it").predict(BATCH).shape == (1, 3)
    assert deployer.endpoint("it").status().phase == "ready"


def test_when_its_process_is_killed_all_of_it_ends_and_a_deploy_starts_it_again(
    deployer: Deployer, model: Model
) -> None:
    endpoint = deployer.deploy(model, "it")
    url, mark = endpoint.url, token(deployer)
    os.kill(json.loads((place(deployer) / "keeper.json").read_text())["pid"], signal.SIGKILL)
    until(lambda: not marked(SERVICE, mark))
    assert (endpoint.status().phase, endpoint.status().native) == ("failed", "Stopped")
    assert "isn't running" in endpoint.status().reason
    with pytest.raises(PredictionError, match="doesn't answer"):
        endpoint.predict(BATCH)
    plan = deployer.plan(model, "it")
    assert [str(step.action) for step in plan.steps] == ["keep", "update"]
    deployer.deploy(model, "it")
    assert endpoint.predict(BATCH).shape == (1, 3)
    assert endpoint.url == url


def test_a_copy_that_dies_is_replaced(deployer: Deployer, probe: Model) -> None:
    endpoint = deployer.deploy(probe, "it")
    first = int(endpoint.predict(BATCH)[0][2])
    keeper = json.loads((place(deployer) / "keeper.json").read_text())["pid"]
    for pid in marked(SERVICE, token(deployer)):
        if pid not in (keeper, first):
            os.kill(pid, signal.SIGKILL)

    def other() -> bool:
        try:
            return int(endpoint.predict(BATCH)[0][2]) != first
        except PredictionError:
            return False

    until(other)
    assert "ended by itself" in "\n".join(endpoint.logs())


def test_a_service_without_a_copy_is_not_told_as_ready(deployer: Deployer, probe: Model) -> None:
    endpoint = deployer.deploy(probe, "it")
    keeper = json.loads((place(deployer) / "keeper.json").read_text())["pid"]

    def gone() -> bool:
        for pid in marked(SERVICE, token(deployer)):
            if pid != keeper:
                os.kill(pid, signal.SIGKILL)
        return endpoint.status().copies == 0

    until(gone)
    found = endpoint.status()
    assert (found.phase, found.native) == ("updating", "InService")
    assert "no copy" in found.reason
    assert [row.phase for row in deployer.list()] == ["updating"]
    endpoint.wait(60, poll_s=0.05)
    assert endpoint.predict(BATCH).shape == (1, 3)


def test_nothing_that_a_model_started_outlives_its_deployment(deployer: Deployer, probe: Model) -> None:
    endpoint = deployer.deploy(probe, "it", env={"CHILD": "1"})
    mark = token(deployer)
    assert len(marked(SERVICE, mark)) == 4  # keeper, supervisor, worker, and the model's own
    endpoint.delete()
    assert marked(SERVICE, mark) == []


def test_a_model_sees_its_own_environment_and_not_that_of_the_shell(
    deployer: Deployer, probe: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "1")
    endpoint = deployer.deploy(probe, "it", env={"FACTOR": "7"})
    first = endpoint.status().release
    assert list(endpoint.predict(BATCH)[0][:2]) == [7.0, 0.0]
    deployer.deploy(probe, "it", env={"FACTOR": "8"})
    assert list(endpoint.predict(BATCH)[0][:2]) == [8.0, 0.0]
    endpoint.rollback(first)
    assert list(endpoint.predict(BATCH)[0][:2]) == [7.0, 0.0]


def test_a_model_that_prints_a_lot_goes_on_and_is_heard(deployer: Deployer, probe: Model) -> None:
    endpoint = deployer.deploy(probe, "it", env={"LINES": "300"})
    for _ in range(3):
        assert endpoint.predict(BATCH).shape == (1, 3)
    until(lambda: sum("said xxx" in line for line in endpoint.logs(limit=5000)) >= 900)


def test_copies_follow_the_load(deployer: Deployer, probe: Model) -> None:
    policy = Autoscaling(min=1, max=2, concurrency=1, scale_in_cooldown_s=0)
    endpoint = deployer.deploy(probe, "it", env={"PAUSE_S": "0.05"}, autoscaling=policy)
    with Load(endpoint.url, clients=6) as load:
        until(lambda: endpoint.status().copies == 2)
        assert len({json.loads(body)["predictions"][0][2] for _, body in load.answers}) >= 1
    until(lambda: endpoint.status().copies == 1)
    assert load.errors == []
    assert {status for status, _ in load.answers} == {200}


def test_a_port_that_is_taken_is_told_and_the_old_one_serves_on(deployer: Deployer, model: Model) -> None:
    endpoint = deployer.deploy(model, "it")
    url = endpoint.url
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        asking = Deployer("local", folder=place(deployer).parent, port=port)
        with pytest.raises(
            DeployFailed, match=f"can't listen on 127.0.0.1:{port}: Address already in use"
        ) as caught:
            asking.deploy(model, "it")
        assert "Errno" not in str(caught.value)
        assert "another port" in str(caught.value)
        assert endpoint.url == url
        assert endpoint.predict(BATCH).shape == (1, 3)
    asking.deploy(model, "it")
    assert endpoint.url == f"http://127.0.0.1:{port}"
    assert endpoint.predict(BATCH).shape == (1, 3)


def test_only_a_public_service_listens_beyond_loopback(deployer: Deployer, model: Model) -> None:
    endpoint = deployer.deploy(model, "it")
    state = place(deployer) / "state.json"
    port = json.loads(state.read_text())["port"]
    assert json.loads(state.read_text())["host"] == "127.0.0.1"
    deployer.deploy(model, "it", access=Access(public=True))
    assert (json.loads(state.read_text())["host"], json.loads(state.read_text())["port"]) == ("0.0.0.0", port)
    assert endpoint.predict(BATCH).shape == (1, 3)


def test_what_the_model_needs_is_told_before_anything_is_made(deployer: Deployer, tmp_path: Path) -> None:
    base = linear_model(tmp_path)
    wanting = Model.from_folder(
        tmp_path / "weights-1",
        handler=tmp_path / "handler.py",
        requirements=["numpy<1", "surely-not-installed==1.0", "numpy; sys_platform == 'nowhere'"],
        check=False,
    )
    with pytest.raises(ModelError) as caught:
        deployer.deploy(wanting, "it")
    assert "surely-not-installed isn't installed" in str(caught.value)
    assert "-m pip install 'numpy<1' 'surely-not-installed==1.0'" in str(caught.value)
    assert deployer.list() == []
    assert not (tmp_path / "services" / "it").exists()
    assert base.requirements == ()


def test_what_a_killed_writer_left_goes_with_the_next_delete(deployer: Deployer, model: Model) -> None:
    deployer.deploy(model, "it")
    left = place(deployer) / "releases" / ".999999999-left"
    left.mkdir()
    (left / "file").write_text("x")
    deployer.delete("it")
    assert not left.parent.parent.exists()


def test_release_in_service_is_not_removed(deployer: Deployer, model: Model) -> None:
    endpoint = deployer.deploy(model, "it")
    provider: Any = deployer.provider
    with pytest.raises(CloudError, match="in service"):
        provider.client("DeleteRelease", name="it", release=endpoint.describe()["release"])
    with pytest.raises(NotFound):
        endpoint.rollback()
