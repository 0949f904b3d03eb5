"""A real server with a model of every kind, which has to be at the end what it was at first."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from clouddeploy.testing.served import ServerProcess
from tests.fuzz.generating import Schema
from tests.fuzz.models import write_models

JSON = "application/json"
EXACT = ("floats", "scalars", "bytes", "halves", "texts", "picky")
"""Models of whose inputs the schema says all. (Of others it can't say that rows are of one length.)"""


@dataclass(frozen=True)
class Operation:
    """A POST of the document."""

    path: str
    schema: Schema
    answers: dict[str, Any]
    example: Any

    @property
    def protocol(self) -> str:
        """The path's first part."""
        return self.path.split("/")[1]

    @property
    def exact(self) -> bool:
        """Whether the server takes exactly what the schema allows."""
        named = self.path.removesuffix(":predict").split("/")
        one = named[3] if self.protocol == "v1" else named[2] if len(named) > 3 else "floats"
        # Of V2 the schema can't say that shape and data agree.
        return self.protocol != "v2" and one in EXACT


@dataclass
class Asked:
    """The server, and a connection to it that is kept."""

    server: ServerProcess
    operations: list[Operation]
    connection: http.client.HTTPConnection

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request("POST", path, body, named)
        response = self.connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


@pytest.fixture(scope="package")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    root = write_models(tmp_path_factory.mktemp("models"))
    with ServerProcess(root, name="floats", jobs=10_000) as server:
        document = server.call("/openapi.json").body
        found = []
        for path, item in document["paths"].items():
            content = item.get("post", {}).get("requestBody", {}).get("content", {}).get(JSON)
            if content is not None:
                example = next(iter(content.get("examples", {}).values()), {"value": None})["value"]
                found.append(Operation(path, content["schema"], item["post"]["responses"], example))
        host = server.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=20)
        found_workers = server.workers()
        yield Asked(server, found, connection)
        connection.close()
        assert server.call("/predict", {"input": [1, 2]}).body == {"prediction": [1.0, 2.0]}
        assert server.workers() == found_workers, "a worker ended"
        assert [line for line in server.lines if line.startswith("request ")] == [], "a fault of ours"
        assert server.stop() == 0
