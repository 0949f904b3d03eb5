"""Jobs: taken, worked on, asked for, cancelled, told; shared by workers and taken up after one has died."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy.server.protocols.job_store import End, Head, JobStore
from tests.unit.server_protocols.conftest import Reply, Serve, Server, model_folder

BODY = {"inputs": [[1, 2], [3, 4]]}
KEY = "a secret of enough bytes"
STREAM = "def predict(x):\n    yield x\n    yield x * 2\n"
HELD = """
import time
from pathlib import Path

GATE = Path(__file__).with_name("gate")

def predict(x):
    time.sleep(0.01)  # too slow for the event loop
    while x.any() and not GATE.exists():  # zeros warm the model up
        time.sleep(0.01)
    return x
"""
DEADLY = """
import os
from pathlib import Path

TRIES = Path(__file__).with_name("pids")

def predict(x):
    if x[0, 0] == 0:
        return x
    with TRIES.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if len(TRIES.read_text().split()) <= x[0, 1]:
        os.kill(os.getpid(), 9)
    return x
"""


def when_over(server: Server, place: str, seconds: float = 20) -> Any:
    """The job when it is over."""
    end = time.monotonic() + seconds
    while True:
        found = server.get(place)
        if found.status == 200 and "finished" in found.json:
            return found.json
        assert time.monotonic() < end, f"not over: {found.body!r}"
        time.sleep(0.02)


def open_gate(server: Server) -> None:
    (server.app.settings.models / "code" / "app" / "gate").touch()


def test_a_job_is_taken_and_its_result_fetched(serve: Serve) -> None:
    server = serve()
    taken = server.post("/jobs", BODY)
    assert taken.status == 202
    place = taken.headers["location"]
    assert taken.json == {"id": place.removeprefix("/jobs/"), "state": "queued", "url": place}
    over = when_over(server, place)
    assert over["state"] == "done"
    assert over["result"] == {"predictions": [[2, 4], [6, 8]]}
    assert over["created"] <= over["finished"]
    result = server.get(over["result_url"])
    assert result.body == server.post("/predict", BODY).body
    assert server.post("/models/m/jobs", BODY).status == 202


def test_a_result_comes_in_the_form_that_was_accepted(serve: Serve) -> None:
    server = serve()
    place = server.post("/jobs", BODY, accept="application/x-npy").headers["location"]
    over = when_over(server, place)
    assert "result" not in over
    result = server.get(over["result_url"])
    assert result.headers["content-type"] == "application/x-npy"
    assert np.load(io.BytesIO(result.body)).tolist() == [[2, 4], [6, 8]]


def test_a_model_that_streams_leaves_lines(serve: Serve) -> None:
    server = serve(STREAM)
    over = when_over(server, server.post("/jobs", {"input": [1, 2]}).headers["location"])
    result = server.get(over["result_url"])
    assert result.headers["content-type"] == "application/x-ndjson"
    assert result.body == b'{"prediction":[1.0,2.0]}\n{"prediction":[2.0,4.0]}\n'


def test_what_cannot_be_predicted_is_refused_at_once(serve: Serve) -> None:
    server = serve()
    assert server.post("/jobs", {"inputs": [[1]]}).json["error"]["code"] == "bad_shape"
    assert server.post("/jobs", BODY, accept="image/png").status == 406
    assert server.post("/models/other/jobs", BODY).status == 404


def test_a_model_that_fails_fails_the_job(serve: Serve) -> None:
    server = serve("def predict(x):\n    raise ValueError('secret')\n")
    over = when_over(server, server.post("/jobs", BODY).headers["location"])
    assert over["state"] == "failed"
    assert over["error"]["code"] == "prediction_failed"
    assert server.get(over["result_url"]).status == 500


@pytest.mark.parametrize("job", ["x", "..%2f..", "0" * 16 + "-" + "a" * 22])
def test_an_unknown_job_is_404(serve: Serve, job: str) -> None:
    server = serve()
    assert server.get(f"/jobs/{job}").status == 404
    assert server.get(f"/jobs/{job}/result").status == 404
    assert server.send("DELETE", f"/jobs/{job}").status == 404


def test_a_job_that_runs_can_be_cancelled_and_one_that_is_over_forgotten(serve: Serve) -> None:
    server = serve(HELD)
    place = server.post("/jobs", BODY).headers["location"]
    waiting = server.get(place)
    assert waiting.json["state"] in ("queued", "running")
    assert waiting.headers["retry-after"] == "1"
    assert server.get(f"{place}/result").status == 503
    assert server.send("DELETE", place).json["state"] == "cancelled"
    open_gate(server)
    assert server.get(place).json["state"] == "cancelled"
    assert server.get(f"{place}/result").status == 404
    assert server.send("DELETE", place).json["state"] == "forgotten"
    assert server.get(place).status == 404
    over = when_over(server, server.post("/jobs", BODY).headers["location"])
    assert over["state"] == "done"


def test_jobs_are_bounded_by_count_and_bytes(serve: Serve) -> None:
    server = serve(HELD, jobs=2)
    places = [server.post("/jobs", BODY).headers["location"] for _ in range(2)]
    refused = server.post("/jobs", BODY)
    assert refused.status == 503
    assert refused.headers["retry-after"]
    assert "2 jobs" in refused.json["error"]["message"]
    for place in places:
        server.send("DELETE", place)
        server.send("DELETE", place)
    assert server.post("/jobs", BODY).status == 202
    open_gate(server)
    assert serve(jobs_bytes=10).post("/jobs", BODY).status == 503
    assert serve(jobs=0).post("/jobs", BODY).status == 404


def test_a_job_that_is_over_is_forgotten_in_time(serve: Serve) -> None:
    server = serve(job_expiry_s=0)
    place = server.post("/jobs", BODY).headers["location"]
    end = time.monotonic() + 20
    while server.get(place).status != 404:
        assert time.monotonic() < end
        server.post("/jobs", BODY)  # taking one sweeps
        time.sleep(0.02)


class Hook(http.server.BaseHTTPRequestHandler):
    """Fails once, then listens."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        told: list[tuple[str, bytes, str]] = self.server.told  # type: ignore[attr-defined]
        told.append((self.path, body, self.headers["x-clouddeploy-signature"]))
        self.send_response(302 if len(told) == 1 else 204)
        self.send_header("location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[Any]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    server.told = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_end_of_a_job_is_told_signed_and_again_when_it_fails(
    serve: Serve, hook: Any, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    url = f"http://127.0.0.1:{hook.server_port}/hooks"
    server = serve(webhooks=f"https://elsewhere.example/, {url}/", webhook_key=key)
    place = server.post("/jobs", BODY, x_webhook_url=f"{url}/a?b=c").headers["location"]
    end = time.monotonic() + 20
    while not server.get(place).json["webhook"].get("delivered"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert server.get(place).json["webhook"]["attempts"] == 2
    (_, first, _), (path, body, signature) = hook.told
    assert path == "/hooks/a?b=c"
    assert json.loads(body)["result"] == {"predictions": [[2, 4], [6, 8]]}
    assert json.loads(first)["id"] == json.loads(body)["id"]
    at, given = (part.partition("=")[2] for part in signature.split(","))
    assert given == hmac.new(KEY.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/other/a",
        "http://127.0.0.1:9/hooksanother",
        "http://127.0.0.1:9/hooks/../other",
        "http://127.0.0.1:9/hooks/%2e%2e/other",
        "http://127.0.0.1:8/hooks/a",
        "https://127.0.0.1:9/hooks/a",
        "http://127.0.0.1:9@evil.example/hooks/a",
        "http://evil.example/hooks/a",
        "file:///etc/passwd",
        "http://[::1/",
        "http://127.0.0.1:99999/hooks/",
        "nonsense",
    ],
)
def test_no_other_url_is_told(serve: Serve, url: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    server = serve(webhooks="http://127.0.0.1:9/hooks", webhook_key=key)
    assert server.post("/jobs", BODY, x_webhook_url=url).status in (400, 403)
    assert server.post("/jobs", BODY, x_webhook_url="http://127.0.0.1:9/hooks/a").status == 202


def test_webhooks_are_off_by_default(serve: Serve) -> None:
    refused = serve().post("/jobs", BODY, x_webhook_url="http://127.0.0.1:9/")
    assert refused.json["error"]["code"] == "forbidden"


class Workers(Server):
    """A server with processes of its own."""

    def __init__(self, folder: Path, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "clouddeploy.server", str(folder), "--set", "port=0"]
        command += ["--set", "workers=2", "--set", f"run_folder={tmp_path / 'run'}"]
        (tmp_path / "run").mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
        assert self.process.stderr is not None
        line = ""
        while "http://" not in line:
            line = self.process.stderr.readline()
            assert line, "the server didn't start"
        self.port = int(line.rsplit(":", 1)[1].strip().rstrip("/"))
        self.headers = {}

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def until_answered(self, method: str, path: str, body: Any = None) -> Reply:
        """A request that is sent anew when a worker dies under it."""
        end = time.monotonic() + 60
        while True:
            try:
                return self.send(method, path, body)
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    rows = [("x", "float32", (None, 2))]
    server = Workers(model_folder(tmp_path / "model", DEADLY, rows, rows), tmp_path)
    yield server
    server.stop()


def job_when_over(server: Workers, place: str) -> Any:
    end = time.monotonic() + 60
    while "finished" not in (found := server.until_answered("GET", place).json):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def test_any_worker_answers_and_the_job_of_one_that_died_is_taken_up(workers: Workers) -> None:
    place = workers.until_answered("POST", "/jobs", {"input": [1, 1]}).json["url"]
    over = job_when_over(workers, place)
    assert over["state"] == "done"
    assert over["result"] == {"prediction": [1, 1]}
    assert over["tries"] == 2
    for _ in range(20):  # connections go to both
        assert workers.until_answered("GET", place).json == over


def test_a_job_that_ended_three_workers_is_given_up(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "run0").mkdir()
    store = JobStore(tmp_path / "run0" / "jobs", most=9, most_bytes=1 << 20, expiry_s=60)
    job = store.new_id()
    store.add(Head(job, time.time(), "application/json", "*/*", None, None, "", "", "r"), b'{"input":[1,2]}')
    for _ in range(3):
        store.begin(job)
    over = when_over(serve(), f"/jobs/{job}")
    assert over["state"] == "failed"
    assert "3 workers" in over["error"]["message"]


def test_a_job_of_somebody_else_is_unknown(serve: Serve) -> None:
    server = serve()
    server.app.before.append(lambda exchange: exchange.attributes.update(key=exchange.request.headers["who"]))
    place = server.post("/jobs", BODY, who="one").headers["location"]
    assert server.get(place, who="one").status == 200
    for method, path in (("GET", place), ("GET", f"{place}/result"), ("DELETE", place)):
        assert server.send(method, path, who="other").status == 404


def test_one_holder_at_a_time_claims_a_job_and_the_first_end_counts(tmp_path: Path) -> None:
    store = JobStore(tmp_path, most=9, most_bytes=1 << 20, expiry_s=60)
    job = store.new_id()
    store.add(Head(job, time.time(), "application/json", "*/*", None, None, "", "", "r"), b"{}")
    claim = store.claim(job)
    assert claim is not None
    assert store.claim(job) is None
    os.close(claim)
    again = store.claim(job)
    assert again is not None
    os.close(again)
    assert store.finish(job, End("cancelled", 1.0))
    assert not store.finish(job, End("done", 2.0), b"late")
    assert store.end(job) == End("cancelled", 1.0)
    assert store.result(job) == b""
    assert store.claim("0" * 16 + "-" + "a" * 22) is None
