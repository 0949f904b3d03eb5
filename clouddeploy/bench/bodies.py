"""What to send when nobody says: the example in the server's own OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from clouddeploy.client.blocking import Client
from clouddeploy.client.retries import Retries
from clouddeploy.errors import CloudDeployError, CloudError, CredentialsError, SpecError, Timeout

JSON = "application/json"
UNANSWERED = frozenset(("unsent", "lost", "malformed", "tls"))


def example(base: str, path: str, headers: dict[str, str]) -> bytes:
    """The JSON body that the server's ``/openapi.json`` gives as the example for ``POST path``.

    Raises:
        SpecError: it gives none.
        CloudError, Timeout: the server doesn't answer.
    """
    document: Any = None
    try:
        with Client(base, headers=headers, retries=Retries(attempts=1)) as client:
            document = json.loads(client.request("GET", "/openapi.json").body)
        return _found(document, path)
    except Timeout:
        raise
    except (CloudDeployError, ValueError, RecursionError, KeyError, TypeError, StopIteration) as error:
        if isinstance(error, CloudError) and error.code in UNANSWERED:
            raise silent(base, error.why, error.code) from error
        why = error.what if isinstance(error, CloudDeployError) else "it has no example for that path"
        raise SpecError(
            f"it isn't known what to send to {base}{path}",
            why=f"{base}/openapi.json: {why}",
            fix=_fix(document, path, error),
        ) from error


def silent(url: str, why: str, code: str) -> CloudError:
    """What is told when `url` doesn't answer; `code` as the client's errors have it."""
    if code == "tls":
        what, fix = "can't be trusted or doesn't speak TLS", "trust its certificate by SSL_CERT_FILE=cert.pem"
    else:
        what = "can't be reached" if code == "unsent" else "doesn't answer"
        fix = "see whether the server runs"
    return CloudError(f"{url} {what}", why=why, fix=fix, code=code)


def _fix(document: Any, path: str, error: Exception) -> str:
    known = document.get("paths") if isinstance(document, dict) else None
    methods = known.get(path) if isinstance(known, dict) else None
    if isinstance(methods, dict) and "get" in methods and "post" not in methods:
        return "add --method GET"
    if isinstance(error, CredentialsError):
        return "add --header 'X-API-Key: …', or --header 'Authorization: Bearer …'"
    return "add --input FILE (.json, .npy, .csv) or --body FILE"


def _found(document: Any, path: str) -> bytes:
    content = document["paths"][path]["post"]["requestBody"]["content"][JSON]
    examples = content.get("examples") or {"only": {"value": content["example"]}}
    return json.dumps(next(iter(examples.values()))["value"], separators=(",", ":")).encode()
