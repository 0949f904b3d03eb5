"""The metadata server that instances ask for their project and their tokens.

"About VM metadata" and "Container runtime contract: Container instance metadata server" (Cloud Run
documentation). An instance reaches it by ``GCE_METADATA_HOST``; who it is stands in front of the path,
``/_as/<e-mail>``, because all share one port.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs, quote, unquote

from clouddeploy.emulator.google.call import number
from clouddeploy.emulator.google.principals import token_of
from clouddeploy.emulator.http.message import Request, Response

PREFIX = "/computeMetadata/v1"
AS = "/_as/"
HEADERS = [("Metadata-Flavor", "Google"), ("Server", "Metadata Server for Serverless")]
TOKEN_S = 3600


def host_of(url: str, email: str, project: str, region: str) -> str:
    """The ``GCE_METADATA_HOST`` of an instance that runs as `email`."""
    who = "/".join(quote(x, safe="@") for x in (email, project, region))
    return f"{url.removeprefix('http://')}{AS}{who}"


def answer(request: Request) -> Response | None:
    """The answer, or None when the request isn't for the metadata server."""
    path, who = request.raw_path, ("", "", "")
    if path.startswith(AS):
        email, project, region, *rest = [*path.removeprefix(AS).split("/", 3), "", "", ""][:4]
        who = (unquote(email), unquote(project), unquote(region))
        path = f"/{rest[0]}" if rest else "/"
    elif not path.startswith(PREFIX):
        return None
    if path.rstrip("/") in ("", "/computeMetadata"):
        return Response(200, [*HEADERS, ("Content-Type", "application/text")], b"computeMetadata/\n")
    if request.headers.get("metadata-flavor") != "Google":
        return Response(403, [*HEADERS], b"Missing Metadata-Flavor:Google header.")
    return _value(path.removeprefix(PREFIX).strip("/"), parse_qs(request.query), *who)


def _value(path: str, query: dict[str, list[str]], email: str, project: str, region: str) -> Response:
    plain = {
        "project/project-id": project,
        "project/numeric-project-id": number(project) if project else "",
        "instance/region": f"projects/{number(project)}/regions/{region}",
        "instance/zone": f"projects/{number(project)}/zones/{region}-1",
        "universe/universe-domain": "googleapis.com",
    }
    if path in plain:
        return _text(plain[path])
    start, _, rest = path.removeprefix("instance/service-accounts/").partition("/")
    if not path.startswith("instance/service-accounts"):
        return Response(404, HEADERS)
    about = {
        "email": email,
        "aliases": ["default"],
        "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
    }
    if rest == "" and start in ("default", email):
        return _json(about) if query.get("recursive") else _text("aliases\nemail\nidentity\nscopes\ntoken\n")
    if rest == "email":
        return _text(email)
    if rest == "scopes":
        return _text("\n".join(about["scopes"]))
    if rest == "token":
        return _json({"access_token": token_of(email), "expires_in": TOKEN_S, "token_type": "Bearer"})
    if rest == "identity" and query.get("audience"):
        return _text(token_of(email))
    return Response(404, HEADERS)


def _text(body: str) -> Response:
    return Response(200, [*HEADERS, ("Content-Type", "application/text")], body.encode())


def _json(body: object) -> Response:
    return Response(200, [*HEADERS, ("Content-Type", "application/json")], json.dumps(body).encode())
