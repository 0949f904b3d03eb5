"""Containers are shared, started when needed, ended when idle; none outlives the emulator."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.emulator import Emulator, Settings
from tests.emulator.conftest import TIMES, Rig, code

CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def model_fn(model_dir): return None
def input_fn(body, content_type): return body
def predict_fn(data, model): return str(child.pid)
def output_fn(prediction, accept): return prediction
"""


def alive(pid: int) -> bool:
    """Whether the process runs (one that nobody has waited for yet doesn't)."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(check: Callable[[], Any], *, timeout_s: float = 20) -> Any:
    """What `check` returns once that is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it never came true")


def processes(rig: Rig) -> list[dict[str, Any]]:
    """The living containers."""
    return list(rig.emulator.state()["processes"])


@pytest.fixture
def own() -> Iterator[Rig]:
    """An embedded cloud of the test's own."""
    with Emulator(Settings()) as emulator:
        yield Rig(emulator)


def test_a_hundred_endpoints_cost_few_processes_and_all_answer(own: Rig) -> None:
    own.emulator.configure(max_processes=2)
    configs = [own.config(own.model(code(TIMES.format(factor=n)))) for n in (2, 3, 4)]
    names = [own.fresh("endpoint") for _ in range(100)]
    for number, name in enumerate(names):
        own.sm.create_endpoint(EndpointName=name, EndpointConfigName=configs[number % 3])
    assert {own.settled(name)["EndpointStatus"] for name in names} == {"InService"}
    assert len(processes(own)) <= 2
    assert [own.ask(name, [1]) for name in names[:6]] == [[2], [3], [4]] * 2
    assert len(processes(own)) <= 2
    for name in names:
        own.sm.delete_endpoint(EndpointName=name)
    assert processes(own) == []


def test_an_idle_container_costs_no_process_and_comes_back_when_asked(own: Rig) -> None:
    name = own.endpoint()
    (before,) = processes(own)
    own.emulator.configure(idle_stop_s=0)
    until(lambda: not processes(own) and not alive(before["pid"]))
    own.emulator.configure(idle_stop_s=60)
    assert own.ask(name, [1]) == [2]
    (after,) = processes(own)
    assert after["starts"] == 2


def test_endpoints_of_equal_content_share_a_process_and_each_hears_its_log(own: Rig) -> None:
    model = own.model()
    first, second = own.endpoint(own.config(model)), own.endpoint(own.config(model))
    (found,) = processes(own)
    assert found["endpoints"] == sorted([f"eu-west-1/{first}", f"eu-west-1/{second}"])
    assert own.log(first) == own.log(second) == ["loading factor 2"]
    other = own.endpoint(own.config(own.model(env={"A": "1"})))
    assert len(processes(own)) == 2
    own.sm.delete_endpoint(EndpointName=first)
    assert own.ask(second, [1]) == [2]
    for name in (second, other):
        own.sm.delete_endpoint(EndpointName=name)
    assert processes(own) == []
    assert not alive(found["pid"])


def test_an_update_ends_the_old_process(own: Rig) -> None:
    name = own.endpoint()
    (old,) = processes(own)
    own.sm.update_endpoint(
        EndpointName=name, EndpointConfigName=own.config(own.model(code(TIMES.format(factor=3))))
    )
    assert own.settled(name)["EndpointStatus"] == "InService"
    until(lambda: not alive(old["pid"]))
    assert len(processes(own)) == 1


def test_a_request_under_way_is_answered_by_the_version_that_it_reached(own: Rig) -> None:
    slow = "import time\n" + TIMES.format(factor=2).replace("return [x", "time.sleep(0.8)\n    return [x")
    name = own.endpoint(own.config(own.model(code(slow))))
    (old,) = processes(own)
    fast = own.config(own.model(code(TIMES.format(factor=3))))
    answers: list[float] = []
    asking = threading.Thread(target=lambda: answers.extend(own.ask(name, [1])))
    asking.start()
    until(lambda: own.emulator.state()["calls"].get("sagemaker.InvokeEndpoint"))
    own.sm.update_endpoint(EndpointName=name, EndpointConfigName=fast)
    own.settled(name)
    assert own.ask(name, [1]) == [3]
    asking.join()
    assert answers == [2]
    until(lambda: not alive(old["pid"]))


def test_what_the_handler_started_ends_with_its_container(own: Rig) -> None:
    name = own.endpoint(own.config(own.model(code(CHILD))))
    answer = own.runtime.invoke_endpoint(EndpointName=name, Body=b"", ContentType="text/csv")
    child = int(answer["Body"].read())
    assert alive(child)
    own.sm.delete_endpoint(EndpointName=name)
    until(lambda: not alive(child))


def test_a_killed_emulator_leaves_no_process_behind(own: Rig) -> None:
    name = own.endpoint(own.config(own.model(code(CHILD))))
    answer = own.runtime.invoke_endpoint(EndpointName=name, Body=b"", ContentType="text/csv")
    pids = [int(answer["Body"].read()), processes(own)[0]["pid"]]
    assert all(alive(pid) for pid in pids)
    os.kill(own.emulator.pid, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids))


def test_a_container_that_hangs_at_its_start_does_not_hold_up_the_end(own: Rig) -> None:
    name = own.fresh("endpoint")
    config = own.config(own.model(code("import time\ntime.sleep(600)\n")))
    own.sm.create_endpoint(EndpointName=name, EndpointConfigName=config)
    (found,) = until(lambda: processes(own))
    own.emulator.reset()
    assert not alive(found["pid"])
    assert own.ask(own.endpoint(own.config(own_bucket(own).model())), [1]) == [2]


def own_bucket(own: Rig) -> Rig:
    """The rig with bucket and role made anew after a reset."""
    return Rig(own.emulator)


def test_reset_forgets_everything_and_ends_every_container(own: Rig) -> None:
    own.endpoint()
    (found,) = processes(own)
    own.emulator.reset()
    assert processes(own) == []
    assert not alive(found["pid"])
    assert own.sm.list_endpoints()["Endpoints"] == []
    assert own.s3.list_buckets()["Buckets"] == []
    assert own.iam.list_roles()["Roles"] == []
    assert own.emulator.state()["calls"] == {
        "sagemaker.ListEndpoints": 1,
        "s3.ListBuckets": 1,
        "iam.ListRoles": 1,
    }
