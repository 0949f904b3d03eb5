"""Who may ask: API keys, tokens, or either; and what needs neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from clouddeploy.errors import SpecError
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import Head, Headers, Refused, Response

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.settings import ServerSettings

ADMIN = "/v1/admin/"
"""Has a token of its own."""
CHALLENGE: Headers = (("www-authenticate", 'Bearer realm="clouddeploy"'),)
"""How to come in (RFC 9110, section 11.6.1)."""


class Verifier(Protocol):
    """Knows one kind of credential."""

    def takes(self, text: str) -> bool:
        """Whether `text` looks like one."""

    def name(self, text: str) -> str:
        """Whose it is.

        Raises:
            WireError: ``unauthorized``.
        """


def install(app: App) -> None:
    """Ask for credentials, when there is a file of keys or a way to verify tokens.

    Raises:
        SpecError: either can't be used.
    """
    verifiers = verifiers_of(app.settings)
    if not verifiers:
        return
    gate = Gate(verifiers, frozenset(filter(None, app.settings.open_paths.split(","))))
    app.at_head.append(gate.at_head)
    app.before.append(gate.guard)
    for verifier in verifiers:
        start = getattr(verifier, "start", None)
        if start is not None:
            app.on_start.append(start)


def verifiers_of(settings: ServerSettings) -> list[Verifier]:
    """What the settings ask for.

    Raises:
        SpecError: a file can't be used, or settings contradict each other.
    """
    found: list[Verifier] = []
    if settings.api_keys.name:
        from clouddeploy.server.guards.api_keys import ApiKeys

        found.append(ApiKeys(settings.api_keys))
    if settings.jwt_keys:
        from clouddeploy.server.guards.jwt_tokens import tokens_of

        found.append(tokens_of(settings))
    if any(not path.startswith("/") for path in filter(None, settings.open_paths.split(","))):
        raise SpecError(
            f"ServerSettings.open_paths is {settings.open_paths!r}",
            why="allowed: paths such as /health, separated by commas",
            fix="correct it",
        )
    return found


def credential(headers: dict[str, str]) -> str:
    """The key or token that a request carries; empty when there is none."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text:
        return text.strip()
    return headers.get("x-api-key", "")


class Gate:
    """Lets through who is known.

    Args:
        verifiers: each knows one kind of credential.
        open_paths: that need none.
    """

    def __init__(self, verifiers: list[Verifier], open_paths: frozenset[str]) -> None:
        self._verifiers, self._open = verifiers, open_paths

    def guard(self, exchange: Exchange) -> Response | None:
        """Let in who is known, whose name then stands in the attribute ``key``.

        Raises:
            WireError: ``unauthorized``.
        """
        head = exchange.request.head
        if head.path not in self._open and not head.path.startswith(ADMIN):
            exchange.attributes["key"] = self._name(head)
        return None

    def at_head(self, head: Head, peer: str) -> Response | None:
        """The same before the body has come.

        Raises:
            WireError: ``unauthorized``.
        """
        if head.path not in self._open and not head.path.startswith(ADMIN):
            self._name(head)
        return None

    def _name(self, head: Head) -> str:
        try:
            return self._verified(credential(head.headers))
        except WireError as error:
            if error.code != "unauthorized":
                raise
            raise Refused(error.code, error.message, error.fix, CHALLENGE) from error

    def _verified(self, text: str) -> str:
        if not text:
            raise WireError(
                "unauthorized",
                "the request has no credentials",
                "send `authorization: Bearer …`, or an API key as `x-api-key`",
            )
        for verifier in self._verifiers:
            if verifier.takes(text):
                return verifier.name(text)
        raise WireError("unauthorized", "the credentials are of no kind that is known here", "send others")
