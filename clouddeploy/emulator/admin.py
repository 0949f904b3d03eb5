"""The emulator's own paths, below ``/_clouddeploy``; no cloud has them.

``GET /_clouddeploy/state`` · ``POST /_clouddeploy/reset`` · ``POST /_clouddeploy/settings`` with a JSON
object of `Settings` fields · ``POST /_clouddeploy/stop``
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.errors import SpecError

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

PREFIX = "/_clouddeploy/"


def handle(cloud: Cloud, request: Request) -> Response:
    """Answer one of the paths."""
    action = (request.method, request.raw_path.removeprefix(PREFIX))
    if action == ("GET", "state"):
        return _json(200, {**cloud.state(), "settings": asdict(cloud.settings)})
    if action == ("POST", "reset"):
        cloud.reset()
        return _json(200, {})
    if action == ("POST", "settings"):
        try:
            cloud.settings = cloud.settings.changed(json.loads(request.body or b"{}"))
        except (SpecError, ValueError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, asdict(cloud.settings))
    if action == ("POST", "stop"):
        # A moment later, so that this answer still gets out.
        threading.Timer(0.02, cloud.stopped.set).start()
        return _json(200, {})
    return _json(404, {"error": f"no {request.method} {request.raw_path}"})


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return Response(status, [("Content-Type", "application/json")], json.dumps(body).encode())
