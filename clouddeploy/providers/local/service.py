"""``python -m clouddeploy.providers.local.service <folder>``: the background process of one deployment.

It detaches itself from whoever starts it, makes sure that it is the only one, and runs a `Keeper`. It takes
orders on a port of its own: one line of JSON with the service's token, one line back.
"""

from __future__ import annotations

import asyncio
import fcntl
import hmac
import json
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from clouddeploy.providers.local.keeper import Keeper
from clouddeploy.providers.local.logfile import LogFile
from clouddeploy.providers.local.places import Place, read_json, write_json
from clouddeploy.providers.local.processes import SERVICE, identity, kill_marked

LINE = 4096


async def keep(place: Place, token: str, log: LogFile) -> None:
    """Run the keeper until it is told to stop."""
    keeper = Keeper(place, token, log)
    loop = asyncio.get_running_loop()

    def end() -> None:
        keeper.stop.set()
        keeper.wake.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)

    def act(order: dict[str, Any]) -> Any:
        match order.get("do"):
            case "look":
                keeper.wake.set()
                return {"stopping": keeper.stop.is_set()}
            case "metrics":
                return keeper.front.counts.over(float(order["since_s"]))
            case "stop":
                end()
                return {}
        return {"error": f"unknown: {order.get('do')!r}"}

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            order = json.loads(await reader.readuntil(b"\n"))
            if isinstance(order, dict) and hmac.compare_digest(str(order.get("token")), token):
                writer.write(json.dumps(act(order)).encode() + b"\n")
                await writer.drain()
        except (ValueError, KeyError, OSError, EOFError, asyncio.LimitOverrunError) as error:
            log.write("keeper", f"an order could not be read: {type(error).__name__}")
        finally:
            writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, limit=LINE)
    port = server.sockets[0].getsockname()[1]
    write_json(place.keeper, {**identity(os.getpid()), "control": port, "token": token})
    try:
        await keeper.run()
    finally:
        server.close()


def run(place: Place, token: str) -> None:
    """Keep what service.json says. The lock is held already."""
    place.state.unlink(missing_ok=True)
    log = LogFile(place.log)
    left = kill_marked(SERVICE, token)
    log.write("keeper", f"process {os.getpid()} starts; {left} processes of an earlier one were left")
    _loop(keep(place, token, log))
    log.write("keeper", f"process {os.getpid()} ends")
    log.close()


def _loop(what: Coroutine[Any, Any, None]) -> None:
    """Run it on the fastest loop there is."""
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(what)
    else:
        uvloop.run(what)


def main() -> int:
    """Make sure that this is the only one, detach, and run; the exit code.

    The lock is taken before the process that was started ends, so that its starter knows: there is a keeper.
    """
    place = Place(Path(sys.argv[1]))
    wish = read_json(place.service)
    if wish is None:
        return 0
    with place.keeper_lock.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        if os.fork():
            # At once and without cleaning up: everything is the other's now, the lock included.
            os._exit(0)
        os.setsid()
        run(place, str(wish["token"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
