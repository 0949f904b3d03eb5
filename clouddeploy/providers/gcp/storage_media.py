"""The bytes of Cloud Storage: objects sent and fetched over its JSON API.

Small objects go in one request that carries their CRC32C ("multipart upload"). Larger ones go through a
resumable session: it is opened with the CRC32C and the generation precondition; the bytes then go straight
from the caller's pieces to the socket; and after a broken connection the session tells how far it came
(Cloud Storage documentation, "Uploads and downloads", "Resumable uploads").

Not by google-cloud-storage's client: since 3.17 each of its calls may start a thread that asks for the
bucket, with retries of its own, and it copies a body in blocks of 16 KiB.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

TIMEOUT_S: Final = (10.0, 300.0)
"""To connect and to read; the server answers once all bytes are written."""
INCOMPLETE: Final = 308


def crc32c(content: Any) -> str:
    """CRC32C of bytes as Cloud Storage writes it: big-endian, in base64."""
    import google_crc32c

    return b64encode(int(google_crc32c.value(content)).to_bytes(4, "big")).decode()


def refuse(response: Any) -> None:
    """Raise what google.api_core raises for an HTTP answer that is an error.

    Raises:
        google.api_core.exceptions.GoogleAPICallError: the status is 400 or more.
    """
    if response.status_code < 400:
        return
    from google.api_core.exceptions import from_http_response, from_http_status

    try:
        raised = from_http_response(response)  # type: ignore[no-untyped-call]
    except (AttributeError, TypeError):  # JSON, but not of the shape that Google's errors have
        raised = from_http_status(response.status_code, response.text, response=response)  # type: ignore[no-untyped-call]
    raise raised


class Media:
    """Sends and fetches objects' bytes, one request a call; safe to share between threads.

    Args:
        session: makes the ``requests`` session that carries the credentials.
        root: URL of the API.
    """

    def __init__(self, session: Callable[[], Any], root: str) -> None:
        self._session, self._root = session, root
        self.methods: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "InsertObject": self._insert,
            "DownloadObject": self._download,
            "StartUpload": self._start,
            "SendUpload": self._send,
            "QueryUpload": self._query,
        }

    def _insert(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """``bucket, name, body`` (bytes or a file), ``contentType, metadata, ifGenerationMatch``."""
        body = params["body"]
        content = bytes(body.read() if hasattr(body, "read") else body)
        described = json.dumps({**_described(params), "crc32c": crc32c(content)}).encode()
        boundary = _boundary(content)
        whole = b"".join(
            [
                b"--%b\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n" % boundary,
                described,
                b"\r\n--%b\r\nContent-Type: %b\r\n\r\n" % (boundary, _content_type(params).encode()),
                content,
                b"\r\n--%b--" % boundary,
            ]
        )
        headers = {"Content-Type": f"multipart/related; boundary={boundary.decode()}"}
        found: dict[str, Any] = self._post("multipart", params, data=whole, headers=headers).json()
        return found

    def _start(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """``bucket, name, size, crc32c``, ``contentType, metadata, ifGenerationMatch`` → ``session``."""
        headers = {
            "X-Upload-Content-Type": _content_type(params),
            "X-Upload-Content-Length": str(params["size"]),
        }
        described = _described(params)
        if params.get("crc32c"):
            described["crc32c"] = params["crc32c"]
        response = self._post("resumable", params, json=described, headers=headers)
        return {"session": response.headers["Location"]}

    def _post(self, kind: str, params: Mapping[str, Any], **request: Any) -> Any:
        query = {"uploadType": kind}
        if params.get("ifGenerationMatch") is not None:
            query["ifGenerationMatch"] = str(params["ifGenerationMatch"])
        url = f"{self._root}/upload/storage/v1/b/{quote(params['bucket'], safe='')}/o"
        response = self._session().request("POST", url, params=query, timeout=TIMEOUT_S, **request)
        refuse(response)
        return response

    def _send(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """``session, body`` (bytes-like: from ``offset`` on), ``offset, size`` → the object."""
        first, size = int(params.get("offset", 0)), int(params["size"])
        headers = {"Content-Range": f"bytes {first}-{size - 1}/{size}"} if first else {}
        return self._put(params["session"], params["body"], headers)

    def _query(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """``session, size`` → ``received`` bytes, or the object when it is complete."""
        return self._put(params["session"], b"", {"Content-Range": f"bytes */{params['size']}"})

    def _put(self, url: str, body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
        response = self._session().request("PUT", url, data=body, headers=headers, timeout=TIMEOUT_S)
        refuse(response)
        if response.status_code == INCOMPLETE:
            last = response.headers.get("Range", "").rpartition("-")[2]
            return {"received": int(last) + 1 if last else 0}
        found: dict[str, Any] = response.json()
        return found

    def _download(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """``bucket, object, generation`` → ``body`` as bytes, and its ``generation``."""
        path = (
            f"/download/storage/v1/b/{quote(params['bucket'], safe='')}/o/{quote(params['object'], safe='')}"
        )
        query = {"alt": "media"} | ({"generation": params["generation"]} if "generation" in params else {})
        response = self._session().request("GET", self._root + path, params=query, timeout=TIMEOUT_S)
        refuse(response)
        generation = response.headers.get("x-goog-generation", params.get("generation", ""))
        return {"body": response.content, "generation": str(generation)}


def _described(params: Mapping[str, Any]) -> dict[str, Any]:
    described = {"name": params["name"], "contentType": _content_type(params)}
    return described | ({"metadata": dict(params["metadata"])} if params.get("metadata") else {})


def _content_type(params: Mapping[str, Any]) -> str:
    return str(params.get("contentType", "application/octet-stream"))


def _boundary(content: bytes) -> bytes:
    """A delimiter that isn't in the content."""
    while (found := b"part-" + secrets.token_hex(16).encode()) in content:
        continue
    return found
