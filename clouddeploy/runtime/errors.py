"""What the runtime answers when it can't serve a request."""

from __future__ import annotations

import json

STATUS = {
    "bad_request": 400,
    "bad_json": 400,
    "bad_input": 400,
    "bad_shape": 400,
    "bad_dtype": 400,
    "empty_body": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "too_slow": 408,
    "too_large": 413,
    "unsupported_media_type": 415,
    "rate_limited": 429,
    "head_too_large": 431,
    "prediction_failed": 500,
    "bad_prediction": 500,
    "non_finite_prediction": 500,
    "not_ready": 503,
    "overloaded": 503,
    "out_of_time": 503,
}
"""HTTP status of each error code of the wire contract."""


class WireError(Exception):
    """A request that can't be served.

    Args:
        code: one of `STATUS`.
        message: what is wrong, with the path of the offending field.
        fix: what the caller can do.
    """

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix

    @property
    def status(self) -> int:
        """The HTTP status to answer."""
        return STATUS[self.code]

    def body(self) -> bytes:
        """The answer's body: strict JSON."""
        error = {"code": self.code, "message": self.message, "fix": self.fix}
        return json.dumps({"error": error}, separators=(",", ":")).encode()


class LoadError(Exception):
    """The artifact, its weights or its handler can't be loaded.

    Args:
        phase: ``"import"``, ``"load"`` or ``"predict"``.
    """

    def __init__(self, message: str, phase: str = "load") -> None:
        super().__init__(message)
        self.phase = phase
