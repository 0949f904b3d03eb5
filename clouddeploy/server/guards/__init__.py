"""What stands between a client and the endpoints: who may ask, how often, and how much at once.

Each module's ``install(app)`` adds what its settings switch on; without them a request passes none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clouddeploy.server.app import App


def install(app: App) -> None:
    """Add every guard that the settings switch on, in the order in which a request meets them.

    Raises:
        SpecError: a setting is no good, or a file that it names can't be used.
    """
    from clouddeploy.server.guards import access, cors, decompression, rate_limits, security_headers

    security_headers.install(app)
    cors.install(app)
    access.install(app)
    rate_limits.install(app)
    decompression.install(app)
