"""What runs behind an endpoint: the stored artifact, loaded by the runtime that ships inside it."""

from __future__ import annotations

import random
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service

KEPT = 10_000
"""Log lines and requests that are remembered."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: when it ended (`time.time`), its status, and the milliseconds it took."""

    at: float
    status: int
    took_ms: float


class Running:
    """One endpoint's data plane. The release in it is changed by `start`."""

    def __init__(self) -> None:
        self._services: list[tuple[Service, int]] = []
        self._lines: deque[tuple[float, str]] = deque(maxlen=KEPT)
        self._seen: deque[Seen] = deque(maxlen=KEPT)

    def log(self, text: str) -> None:
        """Append to the endpoint's log."""
        self._lines.extend((time.time(), line) for line in text.splitlines())

    def start(self, folders: Mapping[Path, int]) -> str:
        """Load the artifacts and serve them from now on, each for its percent of the requests.

        Returns:
            Why one doesn't start, in which case nothing changed; or an empty text.
        """
        from clouddeploy.runtime.service import Service

        try:
            # The user's modules must not stay importable: other releases in this process have their own.
            loaded = [
                (Service.load(folder, folder / "code", keep_path=False), share)
                for folder, share in folders.items()
            ]
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the handler is anybody's code
            self.log(traceback.format_exc())
            return f"{type(error).__name__}: {error}"
        self._services = loaded
        self.log("the model is loaded")
        return ""

    def answer(self, body: bytes, content_type: str, accept: str) -> dict[str, Any]:
        """What the model answers, in the words of the wire contract."""
        if not self._services:
            raise RuntimeError("nothing was started")
        began = time.perf_counter()
        services, shares = zip(*self._services, strict=True)
        answer = random.choices(services, shares)[0].answer(body, content_type, accept)
        took_ms = (time.perf_counter() - began) * 1e3
        self._seen.append(Seen(time.time(), answer.status, took_ms))
        self.log(f"{answer.status} {len(body)} bytes {took_ms:.1f} ms")
        if answer.status >= 400:
            self.log(answer.body.decode(errors="replace"))
        return {
            "status": answer.status,
            "body": answer.body,
            "content_type": answer.content_type,
            "headers": dict(answer.headers),
        }

    def lines(self, since_s: float, limit: int) -> list[str]:
        """The last `limit` log lines of the past `since_s` seconds, oldest first."""
        start = time.time() - since_s
        found = [line for at, line in list(self._lines) if at >= start]
        return found[-limit:] if limit > 0 else []

    def metrics(self, since_s: float) -> dict[str, float]:
        """Requests, errors and the mean latency of the past `since_s` seconds."""
        start = time.time() - since_s
        seen = [request for request in list(self._seen) if request.at >= start]

        def among(low: int, high: int) -> Iterator[Seen]:
            return (request for request in seen if low <= request.status < high)

        took = [request.took_ms for request in seen]
        return {
            "requests": float(len(seen)),
            "errors_4xx": float(sum(1 for _ in among(400, 500))),
            "errors_5xx": float(sum(1 for _ in among(500, 600))),
            "latency_ms": sum(took) / len(took) if took else 0.0,
        }
