"""TLS with a certificate of the user's own, which is read again when its files change.

TLS 1.2 is the least that is spoken. HTTP/2 is not offered: the server speaks HTTP/1.1 only, see
docs/decisions/0007-http-core.md.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import SpecError
from clouddeploy.server import validity
from clouddeploy.server.guards.watched import EVERY_S, mark_of

if TYPE_CHECKING:
    from clouddeploy.server.settings import ServerSettings

log = logging.getLogger(__name__)


def on(settings: ServerSettings) -> bool:
    """Whether the server speaks TLS.

    Raises:
        SpecError: a certificate without its key, or the other way round.
    """
    certificate, key = settings.tls_certificate.name, settings.tls_key.name
    if bool(certificate) != bool(key):
        missing = "tls_key" if certificate else "tls_certificate"
        raise SpecError(f"ServerSettings.{missing} is missing", why="TLS needs both", fix="name its file")
    if settings.tls_client_ca.name and not certificate:
        raise SpecError(
            "ServerSettings.tls_client_ca has no effect",
            why="TLS is off",
            fix="set tls_certificate and tls_key",
        )
    return bool(certificate)


def context_of(settings: ServerSettings) -> ssl.SSLContext:
    """What a server speaks TLS with.

    Raises:
        SpecError: the certificate, its key or the clients' authority can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, settings.tls_certificate, settings.tls_key)
    if settings.tls_client_ca.name:
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except OSError as error:
            raise SpecError(
                f"the authority in {str(settings.tls_client_ca)!r} can't be used",
                why=_why(error),
                fix="name a PEM file of certificates",
            ) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise SpecError(
                f"{str(path)!r} can't be read", why=str(error.strerror or error), fix="name a PEM file"
            ) from error

    def no_password() -> str:
        raise SpecError(
            f"the key in {str(key)!r} has a password", fix="write it without: openssl pkey -in … -out …"
        )

    try:
        context.load_cert_chain(certificate, key, no_password)
    except OSError as error:  # as ssl.SSLError is
        raise SpecError(
            f"the certificate {str(certificate)!r} with the key {str(key)!r} can't be used",
            why=_why(error),
            fix="name the certificate, followed by its chain, and its own key, both as PEM",
        ) from error


def _why(error: OSError) -> str:
    text = str(error)
    words = {
        "values mismatch": "the key isn't the certificate's",
        "no start line": "it isn't PEM",
        "pem lib": "the certificate, or the key, isn't PEM or is damaged",
    }
    return next((why for word, why in words.items() if word in text.lower().replace("_", " ")), text)


def tell_validity(settings: ServerSettings) -> None:
    """Warn of a certificate that clients refuse, or soon will; the server speaks TLS with it all the same."""
    found = validity.complaint(settings.tls_certificate, datetime.now(UTC))
    if found:
        log.warning("%s", found)


class Certificates:
    """The context of one worker, into which a changed certificate is loaded while it is in use.

    Connections that there are stay; those that come get the new one.

    Args:
        settings: name the files.

    Attributes:
        context: for the listening sockets.

    Raises:
        SpecError: they can't be used.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._marks = self._seen()
        self.context = context_of(settings)

    def _seen(self) -> tuple[object, object]:
        return mark_of(self._settings.tls_certificate), mark_of(self._settings.tls_key)

    @property
    def listening(self) -> dict[str, Any]:
        """What `loop.create_server` has to know besides; who doesn't finish the handshake is cut off."""
        return {"ssl": self.context, "ssl_handshake_timeout": max(0.1, self._settings.head_timeout_s)}

    async def follow(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.look()

    def look(self) -> bool:
        """Load the files if they changed and are good; whether they did and were.

        Between the certificate and its key, both written anew, there is a moment in which they don't fit:
        that isn't taken, and is looked at again.
        """
        marks = self._seen()
        if marks == self._marks:
            return False
        self._marks = marks
        try:
            context_of(self._settings)  # tried on another first: half a change must not reach this one
            _load(self.context, self._settings.tls_certificate, self._settings.tls_key)
        except SpecError as error:
            log.error("the new certificate isn't used, and the one before stays: %s", error)
            return False
        log.info("the certificate was changed and is used for new connections")
        tell_validity(self._settings)
        return True
