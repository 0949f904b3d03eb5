"""Revisions: real functions-framework processes, as many as the load asks for and no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clouddeploy.emulator.google.plane import NotReady, RevisionSpec
from tests.emulator.google_plane.conftest import Bench, eventually, runs


def test_a_function_answers_with_the_contracts_variables(bench: Bench) -> None:
    spec = bench.serve("echo-00001-abc", env={"THREADS": "2", "MODE": "fast"}, timeout_s=30, cpu=2)
    answer = bench.ask(spec, "/a/b?x=1", "grüße".encode())
    found = json.loads(answer.body)
    assert (answer.status, found["path"], found["body"]) == (200, "/a/b", "grüße")
    assert bench.ask(spec, method="HEAD").body == b""
    env = json.loads(bench.ask(spec, "/?env").body)
    expected = {
        "K_SERVICE": "echo", "K_REVISION": "echo-00001-abc", "K_CONFIGURATION": "echo", "MODE": "fast",
        "FUNCTION_TARGET": "predict", "FUNCTION_SIGNATURE_TYPE": "http", "HOST": "127.0.0.1",
        "CLOUD_RUN_TIMEOUT_SECONDS": "30", "THREADS": "2", "GCE_METADATA_HOST": "127.0.0.1:9",
    }  # fmt: skip
    assert expected.items() <= env.items()
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "CLOUDDEPLOY_CACHE_DIR", "PIP_NO_INDEX"} & set(env)
    eventually(lambda: bench.told("loaded"))
    assert bench.plane.processes()[0]["cold_start_s"] > 0
    bench.plane.remove(spec.name)
    assert bench.ask(spec).status == 503


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ("import nothing_of_that_name\n", "No module named 'nothing_of_that_name'"),
        ("def other(request): ...\n", "predict"),
        ("import time\ntime.sleep(60)\n", ""),
    ],
)
def test_a_source_that_doesnt_listen_is_not_ready_and_leaves_nothing(
    bench: Bench, main: str, words: str
) -> None:
    spec = bench.spec("echo-00002-abc", main, startup_timeout_s=1 if not words else 60)
    with pytest.raises(NotReady, match="failed to start and listen on the port") as failed:
        bench.plane.add(spec)
    assert words in "\n".join(failed.value.tail)
    assert not bench.pids(spec)


def test_slow_and_large_requests_get_the_front_ends_answers(bench: Bench) -> None:
    spec = bench.serve(
        "echo-00003-abc", timeout_s=0.3, env={"THREADS": "4", "CLOUD_RUN_TIMEOUT_SECONDS": "0"}
    )
    assert bench.ask(spec, "/?sleep=1").status == 504
    assert bench.ask(spec, body=bytes(33 << 20)).status == 413
    assert bench.told("maximum request timeout")
    bench.plane.remove(spec.name)


def test_a_crash_is_a_503_and_the_next_request_gets_a_new_instance(bench: Bench) -> None:
    spec = bench.serve("echo-00004-abc")
    first = json.loads(bench.ask(spec).body)["pid"]
    assert bench.ask(spec, "/?die").status == 503
    eventually(lambda: bench.ask(spec).status == 200)
    assert json.loads(bench.ask(spec).body)["pid"] != first
    bench.plane.remove(spec.name)


def test_too_much_memory_ends_the_instance_and_says_so(bench: Bench) -> None:
    spec = bench.serve("echo-00005-abc", memory_mb=256)
    assert bench.ask(spec, "/?eat=400").status == 503
    assert bench.told("Memory limit of 256 MiB exceeded with")
    bench.plane.remove(spec.name)


def test_concurrency_and_the_highest_number_of_instances_are_limits(bench: Bench, tmp_path: Path) -> None:
    spec = bench.serve("echo-00006-abc", concurrency=2, max=2, env={"THREADS": "2"})
    statuses: list[int] = []
    threads = bench.ask_beside(spec, f"/?until={tmp_path / 'now'}", statuses, 7)
    eventually(lambda: statuses == [429] * 3)
    assert len(bench.pids(spec)) == 2
    (tmp_path / "now").touch()
    for thread in threads:
        thread.join()
    assert statuses == [429] * 3 + [200] * 4
    assert bench.told("no available instance")
    bench.plane.remove(spec.name)


def test_a_service_has_no_more_instances_than_it_may_over_all_its_revisions(
    bench: Bench, tmp_path: Path
) -> None:
    old = bench.serve("echo-00021-abc", concurrency=1, max=2, env={"THREADS": "1"})
    new = bench.serve("echo-00022-abc", concurrency=1, max=2, env={"THREADS": "1"})
    for spec in (old, new):
        bench.plane.serve(spec.name, min=0, service_max=2)
    statuses: list[int] = []
    threads = bench.ask_beside(new, f"/?until={tmp_path / 'now'}", statuses, 2)
    eventually(lambda: len(bench.pids(new)) == 2)
    assert not bench.pids(old), "an idle one of the other revision made room"
    assert bench.ask(old).status == 429
    (tmp_path / "now").touch()
    for thread in threads:
        thread.join()
    assert bench.ask(old).status == 200
    assert len(bench.pids(old) | bench.pids(new)) == 2
    for spec in (old, new):
        bench.plane.remove(spec.name)


def test_idle_instances_go_down_to_the_minimum_and_come_back(bench: Bench) -> None:
    bench.settings = bench.settings.changed({"idle_stop_s": 0.1})
    kept = bench.serve("echo-00007-abc", min=1)
    spec = bench.serve("echo-00008-abc")
    eventually(lambda: not bench.pids(spec))
    assert len(bench.pids(kept)) == 1
    assert bench.ask(spec).status == 200
    (pid,) = bench.pids(kept)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: bool(bench.pids(kept) - {pid}))
    bench.plane.serve(kept.name, min=0)
    eventually(lambda: not bench.pids(kept))
    bench.settings = bench.settings.changed({"idle_stop_s": 600})
    for one in (kept, spec):
        bench.plane.remove(one.name)


def test_instances_of_equal_bytes_and_settings_are_kept_for_the_next_revision(bench: Bench) -> None:
    bench.settings = bench.settings.changed({"keep_unused_s": 60})
    first = bench.serve("echo-00009-abc")
    (pid,) = bench.pids(first)
    bench.plane.remove(first.name)
    second = bench.serve("echo-00010-abc")
    assert bench.pids(second) == {pid}
    other = bench.serve("echo-00011-abc", env={"THREADS": "3"})
    assert bench.pids(other) != {pid}
    bench.settings = bench.settings.changed({"keep_unused_s": 0})
    for one in (second, other):
        bench.plane.remove(one.name)
    eventually(lambda: not runs(pid))


def test_requests_under_way_finish_when_a_revision_is_removed(bench: Bench, tmp_path: Path) -> None:
    spec = bench.serve("echo-00012-abc")
    statuses: list[int] = []
    (thread,) = bench.ask_beside(spec, f"/?until={tmp_path / 'now'}", statuses)
    eventually(lambda: any(p["busy"] for p in bench.plane.processes()))
    bench.plane.remove(spec.name)
    assert bench.ask(spec).status == 503
    (tmp_path / "now").touch()
    thread.join()
    assert statuses == [200]


def test_an_image_runs_its_own_command_in_its_own_folder(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "data.txt").write_text("from the image")
    command = ("/usr/local/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/srv")
    shell = ("sh", "-c", f"exec {sys.executable} -m http.server --bind 127.0.0.1 $PORT")
    for number, words in enumerate(((*command, "0"), shell)):
        spec = RevisionSpec(
            name=f"echo-0002{number}-abc", service="echo", project="p", region="r", root=tmp_path,
            command=words, workdir="/srv", log=bench.log, startup_timeout_s=20 if number else 0.5,
        )  # fmt: skip
        if not number:  # it doesn't listen where it should
            with pytest.raises(NotReady):
                bench.plane.add(spec)
            continue
        bench.plane.add(spec)
        assert bench.ask(spec, "/data.txt", b"", "GET").body == b"from the image"
        bench.plane.remove(spec.name)
    with pytest.raises(NotReady) as failed:
        bench.plane.add(
            RevisionSpec(name="n", service="s", project="p", region="r", root=tmp_path, command=("nope",))
        )
    assert "Application failed to start" in failed.value.tail[0]


SUMMING = """
import http.server, os
import numpy

class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "1")
        self.end_headers()
        self.wfile.write(str(numpy.arange(3).sum()).encode())

    do_GET = do_POST

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


def test_an_image_for_another_python_runs_with_this_machines_packages(bench: Bench, tmp_path: Path) -> None:
    other = "3.12" if sys.version_info.minor == 13 else "3.13"
    app = tmp_path / "app"
    (app / "numpy").mkdir(parents=True)
    (app / "numpy" / "__init__.py").write_text("raise ImportError('for another Python')")
    (app / "main.py").write_text(SUMMING)
    (app / "requirements.lock").write_text("numpy==99.0\n")
    packages = {"python": other, "architecture": "x86_64", "entries": ["numpy", "../outside"]}
    (app / "clouddeploy-packages.json").write_text(json.dumps(packages))
    spec = RevisionSpec(
        name="echo-00030-abc", service="echo", project="p", region="r", root=tmp_path, workdir="/app",
        command=("python", "/app/main.py"), log=bench.log,
    )  # fmt: skip
    bench.plane.add(spec)
    assert bench.ask(spec).body == b"3"
    assert bench.told(f"THIS IS NOT Python {other} on x86_64")
    bench.plane.remove(spec.name)


def test_nothing_outlives_an_embedded_cloud_that_is_killed(bench: Bench, tmp_path: Path) -> None:
    spec = bench.spec("echo-00013-abc")
    script = f"""
import pathlib, sys, time
from clouddeploy.emulator.google.plane import Revisions, RevisionSpec
from clouddeploy.emulator.settings import Settings
plane = Revisions(pathlib.Path({str(tmp_path)!r}), Settings, lambda: "http://127.0.0.1:9")
plane.add(RevisionSpec(name="n", service="s", project="p", region="r", root=pathlib.Path({str(spec.root)!r}),
    environment=pathlib.Path({str(spec.environment)!r}), entry_point="predict"))
print(plane.processes()[0]["pid"], flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert runs(pid)
        process.kill()
    eventually(lambda: not runs(pid))


def test_closing_is_quick_and_leaves_no_process(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path)
    spec = other.serve("echo-00014-abc", min=2, max=2)
    eventually(lambda: len(other.pids(spec)) == 2)
    pids = other.pids(spec)
    began = time.monotonic()
    other.plane.close()
    assert not any(map(runs, pids))
    assert time.monotonic() - began < 60
    assert not list((tmp_path / "plane").glob("instance-*"))
