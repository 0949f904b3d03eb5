"""How each server is started, asked and known to be ready."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.environments import environment, python_of
from benchmarks.serving.models import Workload

PEERS = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Setting:
    """What a server is started for.

    Args:
        workload: the model and its requests.
        workers: processes that predict.
        port: to listen on.
        folder: for its files; empty and its own.
        weights: the peers' weights.
    """

    workload: Workload
    workers: int
    port: int
    folder: Path
    weights: Path

    @property
    def environ(self) -> dict[str, str]:
        """Variables that every peer gets: one thread of torch for each worker."""
        return {
            **os.environ,
            "BENCH_NET": self.workload.name,
            "BENCH_WEIGHTS": str(self.weights),
            "BENCH_WORKERS": str(self.workers),
            "BENCH_PORT": str(self.port),
            "BENCH_PEERS": str(PEERS),
            "BENCH_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(PEERS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
        }


@dataclass(frozen=True)
class Start:
    """A command and what it needs."""

    command: list[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


def wire(workload: Workload) -> bytes:
    """The wire contract's body, which the simplest peers take too."""
    return json.dumps({"inputs": workload.inputs}, separators=(",", ":")).encode()


def npy(workload: Workload) -> bytes:
    """The same batch as numpy's file format, which our wire contract takes."""
    import numpy as np

    from clouddeploy.runtime.npy import write

    return write(np.asarray(workload.inputs, dtype=np.float32))


def tf_serving(workload: Workload) -> bytes:
    """TensorFlow Serving's body, which KServe calls V1."""
    return json.dumps({"instances": workload.inputs}, separators=(",", ":")).encode()


def v2(workload: Workload) -> bytes:
    """The Open Inference Protocol's body."""
    import numpy as np

    array = np.asarray(workload.inputs, dtype=np.float32)
    row = {"name": "input_0", "datatype": "FP32", "shape": list(array.shape)}
    flat = np.asarray(workload.inputs).reshape(-1).tolist()
    return json.dumps({"id": "1", "inputs": [{**row, "data": flat}]}, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Server:
    """A server that can be measured.

    Args:
        name: as the table has it.
        start: makes its command; installs what it needs.
        path: that predicts.
        ready: path that answers 200 when it can.
        body: of one request.
        content_type: of the body.
        ready_port: port of `ready`, from that of `path`; TorchServe has another.
        method: of HTTP.
    """

    name: str
    start: Callable[[Setting], Start]
    path: str = "/predict"
    ready: str = "/health"
    body: Callable[[Workload], bytes] = wire
    content_type: str = "application/json"
    ready_port: Callable[[int], int] = int
    method: str = "POST"


def python(peer: str, setting: Setting, *arguments: str, **more: str) -> Start:
    """A command of the peer's own interpreter."""
    program = str(python_of(environment(peer)))
    return Start([program, *arguments], {**setting.environ, **more}, setting.folder)


def flask(s: Setting) -> Start:
    """gunicorn with its default worker."""
    bind = f"127.0.0.1:{s.port}"
    return python("flask", s, *("-m", "gunicorn", "-w", str(s.workers), "-b", bind, "flask_app:app"))


def flask_threads(s: Setting) -> Start:
    """gunicorn with threads, which keep connections."""
    flags = ("-w", str(s.workers), "-k", "gthread", "--threads", "8", "-b", f"127.0.0.1:{s.port}")
    return python("flask", s, "-m", "gunicorn", *flags, "flask_app:app")


def fastapi(s: Setting) -> Start:
    """uvicorn with uvloop and httptools, without an access log."""
    flags = ("--port", str(s.port), "--workers", str(s.workers), "--no-access-log", "--log-level", "warning")
    return python("fastapi", s, "-m", "uvicorn", *flags, "fastapi_app:app")


def functions(s: Setting) -> Start:
    """functions-framework, which starts gunicorn."""
    source = str(PEERS / "functions_app.py")
    flags = ("--target", "predict", "--source", source, "--port", str(s.port), "--host", "127.0.0.1")
    return python("functions-framework", s, "-m", "functions_framework", *flags, WORKERS=str(s.workers))


def litserve(s: Setting, batch: int = 1) -> Start:
    """LitServe, plain or with batches."""
    return python("litserve", s, str(PEERS / "litserve_app.py"), BENCH_BATCH=str(batch))


def litserve_batching(s: Setting) -> Start:
    """LitServe with batches."""
    return litserve(s, 32)


def bentoml(s: Setting) -> Start:
    """BentoML without its access log and tracking."""
    flags = (
        "serve",
        "bento_app:Net",
        "--port",
        str(s.port),
        "--host",
        "127.0.0.1",
        "--working-dir",
        str(PEERS),
    )
    return python(
        "bentoml",
        s,
        "-m",
        "bentoml",
        *flags,
        BENTOML_DO_NOT_TRACK="True",
        BENTOML_HOME=str(s.folder / "home"),
    )


def mlserver(s: Setting) -> Start:
    """MLServer; one worker predicts in the server's own process, which is the faster way."""
    parallel = 0 if s.workers == 1 else s.workers
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "http_port": s.port,
        "grpc_port": s.port + 1,
        "metrics_port": s.port + 2,
        "parallel_workers": parallel,
        "debug": False,
    }
    (s.folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "net", "implementation": "mlserver_app.Net"}
    (s.folder / "model-settings.json").write_text(json.dumps(model))
    return python("mlserver", s, "-c", "from mlserver.cli import main; main()", "start", str(s.folder))


def kserve(s: Setting) -> Start:
    """KServe's Python server."""
    flags = ("--http_port", str(s.port), "--enable_grpc", "false", "--workers", str(s.workers))
    return python("kserve", s, str(PEERS / "kserve_app.py"), *flags)


def torchserve(s: Setting) -> Start:
    """TorchServe with batches of up to 32 that wait a millisecond at most."""
    folder = environment("torchserve")
    store = s.folder / "store"
    store.mkdir()
    archive(store / "net.mar")
    model = {
        "defaultVersion": True,
        "marName": "net.mar",
        "minWorkers": s.workers,
        "maxWorkers": s.workers,
        "batchSize": 32,
        "maxBatchDelay": 1,
        "responseTimeout": 60,
    }
    lines = {
        "inference_address": f"http://127.0.0.1:{s.port}",
        "management_address": f"http://127.0.0.1:{s.port + 1}",
        "metrics_address": f"http://127.0.0.1:{s.port + 2}",
        "grpc_inference_port": s.port + 3,
        "grpc_management_port": s.port + 4,
        "job_queue_size": 10_000,
        "disable_token_authorization": "true",
        "model_store": store,
        "load_models": "net.mar",
        "models": json.dumps({"net": {"1.0": model}}),
    }
    (s.folder / "config.properties").write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
    flags = ("--start", "--foreground", "--ncs", "--ts-config", str(s.folder / "config.properties"))
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return python(
        *("torchserve", s, "-c", "from ts.model_server import start; start()", *flags),
        PATH=path,
        LOG_LOCATION=str(s.folder),
        METRICS_LOCATION=str(s.folder),
    )


def archive(path: Path) -> None:
    """TorchServe's archive of our handler: what ``torch-model-archiver`` writes."""
    manifest = {
        "createdOn": "01/01/2026 00:00:00",
        "runtime": "python",
        "model": {"modelName": "net", "handler": "torchserve_handler.py", "modelVersion": "1.0"},
        "archiverVersion": "0.12.0",
    }
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        file.write(PEERS / "torchserve_handler.py", "torchserve_handler.py")


def clouddeploy(model: Path, **settings: Any) -> Callable[[Setting], Start]:
    """Our server with a model's folder."""

    def start(s: Setting) -> Start:
        given = {"models": str(model), "port": s.port, "workers": s.workers, "threads": 1, **settings}
        command = [sys.executable, "-m", "benchmarks.serving.own", json.dumps(given)]
        return Start(command, s.environ | {"PYTHONPATH": str(ROOT)}, ROOT)

    return start


PEER_SERVERS = {
    "flask": [Server("Flask + gunicorn", flask), Server("Flask + gunicorn, 8 threads", flask_threads)],
    "fastapi": [Server("FastAPI + uvicorn", fastapi)],
    "functions-framework": [Server("functions-framework", functions)],
    "litserve": [
        Server("LitServe", litserve),
        Server("LitServe, batching", litserve_batching),
    ],
    "bentoml": [Server("BentoML", bentoml, ready="/readyz")],
    "mlserver": [Server("MLServer (V2)", mlserver, "/v2/models/net/infer", "/v2/health/ready", v2)],
    "kserve": [Server("KServe (V1)", kserve, "/v1/models/net:predict", "/v2/health/ready", tf_serving)],
    "torchserve": [Server("TorchServe, batching", torchserve, "/predictions/net", "/models/net",
                          ready_port=lambda port: port + 1)],
}  # fmt: skip
