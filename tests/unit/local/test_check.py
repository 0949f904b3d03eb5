from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.errors import CloudError, SpecError
from clouddeploy.model import Model
from clouddeploy.providers.local import Local
from clouddeploy.providers.local.client import Client
from clouddeploy.providers.local.control import environment
from clouddeploy.providers.local.machine import Machine
from clouddeploy.providers.local.places import Place, alone, is_held, read_json, tidy, write_json
from clouddeploy.providers.local.processes import SERVICE
from clouddeploy.spec import Access, Alarm, Autoscaling, Compute, Deployment, Schedule
from clouddeploy.testing.models import linear_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return linear_model(tmp_path_factory.mktemp("model"))


def told(model: Model, **wish: Any) -> dict[str, str]:
    found = Local(folder="unused").check(Deployment(name="it", model=model, **wish))
    return {finding.field: finding.support for finding in found}


def test_a_plain_wish_has_nothing_to_tell(model: Model) -> None:
    assert told(model) == {}
    assert told(model, autoscaling=Autoscaling(min=1, max=4, concurrency=2)) == {}


def test_what_a_machine_cannot_do_is_told(model: Model) -> None:
    assert told(
        model,
        compute=Compute(instance="ml.m5.large", memory_mb=512),
        access=Access(role="x", kms_key="y", public=True),
        autoscaling=Autoscaling(min=0, max=2, cpu=0.5),
        alarms=(Alarm(metric="errors_5xx", above=1, notify=("topic",)),),
    ) == {
        "autoscaling.min": "approximated",
        "autoscaling.cpu": "approximated",
        "compute.instance": "impossible",
        "compute.memory_mb": "impossible",
        "access.role": "impossible",
        "access.kms_key": "impossible",
        "access.public": "exact",
        "alarms": "approximated",
        "alarms.notify": "impossible",
    }


@pytest.mark.parametrize(
    "schedule", [Schedule(cron="99 * * * *", min=1), Schedule(cron="0 8 * * *", min=1, timezone="Nowhere/X")]
)
def test_a_schedule_that_cannot_be_meant_is_refused(model: Model, schedule: Schedule) -> None:
    with pytest.raises(SpecError):
        told(model, autoscaling=Autoscaling(max=2, schedules=(schedule,)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"port": -1}, "port is -1"),
        ({"port": 70_000}, "port is 70000"),
        ({"port": "80"}, "port is '80'"),
        ({"port": True}, "port is True"),
        ({"keep_warm_s": -1}, "keep_warm_s is -1"),
        ({"keep_warm_s": True}, "keep_warm_s is True"),
        ({"folder": 3}, "folder is 3"),
        ({"server": 3}, "server is 3"),
        ({"server": {"max_bach": 1}}, "'max_bach'"),
        ({"server": {"max_batch": "x"}}, "max_batch is 'x'"),
        ({"server": {"port": 80}}, "'port'"),
        ({"server": {"models": "x"}}, "'models'"),
        ({"server": {"run_folder": object()}}, "run_folder"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_made(options: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError) as caught:
        Local(**options)
    assert told in caught.value.what
    assert caught.value.fix


def test_settings_of_the_server_may_be_paths(tmp_path: Path) -> None:
    Local(server={"api_keys": tmp_path, "max_batch": 4})


def test_making_the_provider_and_looking_around_makes_no_file(tmp_path: Path) -> None:
    local = Local(folder=tmp_path / "none")
    assert list(local.deployments()) == []
    assert local.status("it").phase == "missing"
    assert local.releases("it") == []
    assert local.removal("it").stale() == []
    assert not (tmp_path / "none").exists()


def test_a_service_inherits_no_secrets_of_the_shell(tmp_path: Path) -> None:
    place = Place(tmp_path)
    write_json(place.service, {"token": "abc"})
    now = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s", "LC_ALL": "C", "HOME": "/h", "PYTHONPATH": "/p"}
    found = environment(place, now)
    assert found.pop("PYTHONPATH").endswith(":/p")
    assert found == {"PATH": "/bin", "LC_ALL": "C", "HOME": "/h", SERVICE: "abc"}


def test_files_are_replaced_whole_and_half_ones_count_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert read_json(path) is None
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text('{"a"')
    assert read_json(path) is None
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_lock_is_held_as_long_as_its_process_lives(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    code = "import fcntl, sys; f = open(sys.argv[1], 'wb'); fcntl.flock(f, fcntl.LOCK_EX)"
    code += "; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert is_held(path)
        holder.kill()
        holder.wait()
        assert not is_held(path)


def test_what_is_being_written_is_left_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "it")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as writer:
        at_work = place.releases / f".{writer.pid}-x"
        for folder in (at_work, place.releases / ".999999999-x", place.releases / ".removed"):
            folder.mkdir(parents=True)
        tidy(place)
        assert list(place.releases.iterdir()) == [at_work]
        writer.communicate()
    tidy(place)
    assert not place.releases.exists()


def test_changes_are_made_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "count.json"
    code = f"""
import json
from pathlib import Path
from clouddeploy.providers.local.machine import Machine
from clouddeploy.providers.local.places import alone, read_json, write_json
path = Path({str(path)!r})
for _ in range(20):
    with alone(path.parent):
        write_json(path, {{"n": read_json(path)["n"] + 1}}, durable=False)
"""
    write_json(path, {"n": 0})
    with alone(tmp_path):
        pass
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert json.loads(path.read_text()) == {"n": 40}


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    def full(service: str, operation: str, params: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CloudError) as caught:
        Client(Machine(tmp_path), full)("PutLock", name="it")
    assert "No space left on device" in caught.value.why
    assert "free some space" in caught.value.fix
    assert str(tmp_path) in caught.value.fix
