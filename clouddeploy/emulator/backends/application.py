"""moto's own WSGI applications, called with our requests."""

from __future__ import annotations

import io
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from clouddeploy.emulator.backends.policies import add_managed
from clouddeploy.emulator.http.message import Request, Response

SERVICES = ("s3", "iam", "sts", "sagemaker", "applicationautoscaling", "cloudwatch", "logs")


class Moto:
    """moto's dispatcher. Making one imports moto, which takes a second or more."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._application: Any = DomainDispatcherApplication(create_backend_app)

    def warm(self) -> None:
        """Build the applications of the services in use, so that first calls aren't slow."""
        add_managed()
        for service in SERVICES:
            credential = (
                f"AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{_signing_name(service)}/aws4_request,"
            )
            environ = _environ(Request("GET", "/", {"authorization": credential, "host": "localhost"}))
            self._application.get_application(environ)

    def reset(self) -> None:
        """Forget everything that was created."""
        self(Request("POST", "/moto-api/reset", {"host": "localhost"}))
        add_managed()

    def __call__(self, request: Request) -> Response:
        """moto's answer to `request`."""
        seen: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            seen["status"], seen["headers"] = int(status.split(" ", 1)[0]), headers

        pieces = self._application(_environ(request), start_response)
        try:
            body = b"".join(pieces)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        return Response(seen["status"], list(seen["headers"]), body)


def _signing_name(service: str) -> str:
    return {"applicationautoscaling": "application-autoscaling", "cloudwatch": "monitoring"}.get(
        service, service
    )


def _environ(request: Request) -> dict[str, Any]:
    from moto.core.request import (
        PRESERVED_HEADER_NAMES_ENVIRON_KEY,
        environ_key_for_header,
        should_preserve_original_header_name,
    )

    host, _, port = request.headers.get("host", "127.0.0.1:80").partition(":")
    environ: dict[str, Any] = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.raw_path).decode("latin-1"),
        "QUERY_STRING": request.query,
        "REQUEST_URI": request.target,
        "RAW_URI": request.target,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    for name, value in request.headers.items():
        if "_" not in name and name != "transfer-encoding":
            environ[environ_key_for_header(name)] = value
    environ["CONTENT_LENGTH"] = str(len(request.body))
    kept: dict[str, str] = {}
    for name, value in request.raw_headers:
        key = environ_key_for_header(name)
        if should_preserve_original_header_name(name) and (key not in environ or key in kept):
            environ[key] = f"{environ[key]},{value}" if key in kept else value
            kept.setdefault(key, name)
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = kept
    return environ
