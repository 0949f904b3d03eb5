"""What to send when nobody says: the example in the server's own OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

from clouddeploy.client.blocking import Client
from clouddeploy.errors import CloudDeployError, SpecError

JSON = "application/json"


def example(base: str, path: str, headers: dict[str, str]) -> bytes:
    """The JSON body that the server's ``/openapi.json`` gives as the example for ``POST path``.

    Raises:
        SpecError: it gives none.
    """
    try:
        with Client(base, headers=headers) as client:
            document = json.loads(client.request("GET", "/openapi.json").body)
        return _found(document, path)
    except (CloudDeployError, ValueError, RecursionError, KeyError, TypeError, StopIteration) as error:
        why = error.what if isinstance(error, CloudDeployError) else "it has no example for that path"
        raise SpecError(
            f"it isn't known what to send to {base}{path}",
            why=f"{base}/openapi.json: {why}",
            fix="add --input FILE (.json, .npy, .csv) or --body FILE",
        ) from error


def _found(document: Any, path: str) -> bytes:
    content = document["paths"][path]["post"]["requestBody"]["content"][JSON]
    examples = content.get("examples") or {"only": {"value": content["example"]}}
    return json.dumps(next(iter(examples.values()))["value"], separators=(",", ":")).encode()
