"""gRPC with the server's own certificate, which is read again when its files change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import SpecError
from clouddeploy.server import tls
from clouddeploy.server.guards.watched import mark_of

if TYPE_CHECKING:
    from clouddeploy.server.settings import ServerSettings

log = logging.getLogger(__name__)


def credentials(settings: ServerSettings) -> Any:
    """What a gRPC server speaks TLS with (``grpc.dynamic_ssl_server_credentials``).

    Raises:
        SpecError: the certificate, its key or the clients' authority can't be used.
    """
    import grpc

    files = Files(settings)
    return grpc.dynamic_ssl_server_credentials(
        files.read(), files.changed, require_client_authentication=bool(settings.tls_client_ca.name)
    )


class Files:
    """The files that the settings name.

    Args:
        settings: name them.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._paths = (settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
        self._marks = self._seen()

    def _seen(self) -> list[object]:
        return [mark_of(path) for path in self._paths if path.name]

    def read(self) -> Any:
        """What is in them (``grpc.ServerCertificateConfiguration``).

        Raises:
            SpecError: it can't be used.
        """
        import grpc

        tls.context_of(self._settings)  # gRPC itself tells nothing of what it can't use
        certificate, key, authority = (path.read_bytes() if path.name else None for path in self._paths)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)

    def changed(self) -> Any:
        """As `read`, if they changed and are good; else None, and what is known stays.

        Asked at each handshake, in a thread of gRPC's.
        """
        marks = self._seen()
        if marks == self._marks:
            return None
        self._marks = marks
        try:
            found = self.read()
        except (SpecError, OSError) as error:
            log.error("gRPC doesn't use the new certificate, and keeps the one it has: %s", error)
            return None
        if self._seen() != marks:  # between the certificate and its key; looked at again
            self._marks = []
            return None
        log.info("gRPC uses the changed certificate for new connections")
        return found
