"""One server for all tests that change nothing about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.server_http.rig import Server, server


@pytest.fixture(scope="package")
def shared() -> Iterator[Server]:
    with server(body_limit=1 << 20) as found:
        yield found
