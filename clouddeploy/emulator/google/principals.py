"""Who calls: by the bearer token that a request carries."""

from __future__ import annotations

from clouddeploy.emulator.google.call import ANYBODY

EVERYTHING = "embedded-cloud"
"""The token of a principal with every right."""
ACCOUNT = f"{EVERYTHING}:"
"""What the token of one service account begins with; its e-mail address follows."""


def principal_of(authorization: str) -> str | None:
    """An e-mail address, `EVERYTHING`, `ANYBODY` without a token, or None for a token of somebody else's."""
    if not authorization:
        return ANYBODY
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer":
        return None
    if token == EVERYTHING:
        return EVERYTHING
    return token.removeprefix(ACCOUNT) if token.startswith(ACCOUNT) and len(token) > len(ACCOUNT) else None


def token_of(email: str) -> str:
    """The token with which an instance calls as its service account."""
    return f"{ACCOUNT}{email}"
