"""Both clients behind one face, so that each test runs for each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from clouddeploy.client import AsyncClient, Client
from clouddeploy.client.steps import Clock


@dataclass
class Hands:
    """A clock that goes on when somebody sleeps, and keeps what was slept."""

    time: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, wall=lambda: self.time, chance=lambda: 0.0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


class Blocking:
    """`Client`, as it is."""

    def __init__(self, url: str, hands: Hands | None = None, **options: Any) -> None:
        given = {"clock": hands.clock(), "sleep": hands.sleep} if hands else {}
        self.client = Client(url, **given, **options)
        self.predict, self.request = self.client.predict, self.client.request
        self.predict_raw, self.ready = self.client.predict_raw, self.client.ready

    def close(self) -> None:
        self.client.close()


class Awaited:
    """`AsyncClient` in a loop of its own."""

    def __init__(self, url: str, hands: Hands | None = None, **options: Any) -> None:
        given = {"clock": hands.clock(), "sleep": hands.async_sleep} if hands else {}
        self.client = AsyncClient(url, **given, **options)
        self.loop = asyncio.new_event_loop()

    def predict(self, *args: Any, **named: Any) -> Any:
        return self.loop.run_until_complete(self.client.predict(*args, **named))

    def request(self, *args: Any, **named: Any) -> Any:
        return self.loop.run_until_complete(self.client.request(*args, **named))

    def predict_raw(self, *args: Any, **named: Any) -> Any:
        return self.loop.run_until_complete(self.client.predict_raw(*args, **named))

    def ready(self) -> bool:
        return self.loop.run_until_complete(self.client.ready())

    def close(self) -> None:
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(params=[Blocking, Awaited])
def connect(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Makes clients that are closed at the end."""
    made: list[Any] = []

    def make(url: str, hands: Hands | None = None, **options: Any) -> Any:
        made.append(request.param(url, hands, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
