"""What a registry refuses, by the codes of the OCI Distribution Specification ("Error Codes")."""

from __future__ import annotations

import json

from clouddeploy.emulator.http.message import Response

STATUS = {
    "BLOB_UNKNOWN": 404, "BLOB_UPLOAD_INVALID": 416, "BLOB_UPLOAD_UNKNOWN": 404, "DENIED": 403,
    "DIGEST_INVALID": 400, "MANIFEST_BLOB_UNKNOWN": 400, "MANIFEST_INVALID": 400, "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400, "NAME_UNKNOWN": 404, "SIZE_INVALID": 400, "TAG_INVALID": 400, "UNAUTHORIZED": 401,
    "UNSUPPORTED": 405,
}  # fmt: skip


class RegistryRefused(Exception):
    """The registry refuses a request.

    Args:
        code: one of `STATUS`.
        message: its words.
        headers: further headers of the answer.
    """

    def __init__(self, code: str, message: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(code, message)
        self.code, self.message, self.headers = code, message or code.lower().replace("_", " "), headers

    def response(self) -> Response:
        """The refusal as an answer."""
        body = json.dumps({"errors": [{"code": self.code, "message": self.message, "detail": None}]}).encode()
        return Response(STATUS[self.code], [("Content-Type", "application/json"), *self.headers], body)
