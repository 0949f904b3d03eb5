"""What HTTP alone costs: a static answer by our own protocol and by a raw ASGI application on uvicorn.

    python -m benchmarks.serving.cores --runs 5 --seconds 3

Each server is one process; runs alternate, and the medians are told.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.serving.driving import Figures, drive

BODY = b'{"input":[0.1,0.2,0.3,0.4]}'
ANSWER = b'{"prediction":[0.1,0.2,0.3]}'
CORES = ("ours", "uvicorn")


async def asgi(_scope: Any, receive: Any, send: Any) -> None:
    """The least that an ASGI application can do with a POST."""
    while (await receive()).get("more_body"):
        continue
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def serve(core: str, port: int) -> None:
    """Answer on `port` until the process is ended."""
    if core == "uvicorn":
        import uvicorn

        uvicorn.run(
            asgi,
            port=port,
            loop="uvloop",
            http="httptools",
            lifespan="off",
            access_log=False,
            log_level="error",
        )
        return
    import uvloop

    from clouddeploy.server.app import App
    from clouddeploy.server.connection import Connection
    from clouddeploy.server.message import Response
    from clouddeploy.server.settings import ServerSettings

    async def run() -> None:
        app = App(ServerSettings(port=port))
        app.routes.add("POST", "/predict", lambda exchange: exchange.reply(Response(200, ANSWER)))
        server = await asyncio.get_running_loop().create_server(lambda: Connection(app), "127.0.0.1", port)
        ticking = asyncio.ensure_future(app.tick())
        await server.serve_forever()
        ticking.cancel()

    uvloop.run(run())


def _measured(core: str, connections: int, seconds: float) -> Figures:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.cores", "--serve", core, "--port", str(port)]
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        url = f"http://127.0.0.1:{port}/predict"
        return drive(url, BODY, "application/json", connections=connections, seconds=seconds)
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    """Measure, or serve what is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=CORES)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.port)
        return 0
    for connections in (32, 1):
        found: dict[str, list[Figures]] = {core: [] for core in CORES}
        for _ in range(args.runs):
            for core in CORES:
                found[core].append(_measured(core, connections, args.seconds))
        for core, runs in found.items():
            p50, per_s = (
                statistics.median(getattr(run, name) for run in runs) for name in ("p50_ms", "per_s")
            )
            errors = sum(run.errors for run in runs)
            print(f"{connections:3} connections  {core:8} p50 {p50:.3f} ms  {per_s:,.0f}/s  {errors} errors")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
