"""How clients speak to the server: each module adds the endpoints of one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clouddeploy.server.app import App


def install(app: App) -> None:
    """Add every protocol that the settings switch on."""
    from clouddeploy.server.protocols import copying, jobs, openapi, sagemaker, tfserving, v2, wire
    from clouddeploy.server.protocols.streaming import Streams

    streams = Streams(app.settings.streams)
    wire.install(app, streams)
    sagemaker.install(app, streams)
    v2.install(app)
    tfserving.install(app)
    copying.install(app)
    jobs.install(app)
    openapi.install(app)
    if app.settings.grpc_port:
        from clouddeploy.server.protocols import grpc

        grpc.install(app)
