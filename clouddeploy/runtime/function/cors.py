"""Which pages of other origins may call the function ("Fetch" standard, CORS protocol)."""

from __future__ import annotations

METHODS = "POST, GET, OPTIONS"
REQUEST_HEADERS = (
    "accept, authorization, content-type, x-amz-content-sha256, x-amz-date, x-amz-security-token, x-api-key"
)
EXPOSED = "retry-after, server-timing, x-clouddeploy-model, x-request-id"
MAX_AGE_S = 600


def allowed(origins: tuple[str, ...], origin: str) -> dict[str, str]:
    """Headers that let a page of `origin` read the answer; without origins nothing is said."""
    if not origins:
        return {}
    if "*" in origins:
        return {"access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED}
    if origin not in origins:
        return {"vary": "Origin"}
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": EXPOSED,
        "vary": "Origin",
    }


def preflight(
    origins: tuple[str, ...], origin: str, request_headers: str = REQUEST_HEADERS
) -> dict[str, str]:
    """Headers of the answer to ``OPTIONS``; a foreign origin gets no permission."""
    found = allowed(origins, origin)
    if "access-control-allow-origin" in found:
        del found["access-control-expose-headers"]
        found |= {
            "access-control-allow-methods": METHODS,
            "access-control-allow-headers": request_headers,
            "access-control-max-age": str(MAX_AGE_S),
        }
    return found
