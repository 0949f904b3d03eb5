"""moto's HTTP APIs, read and changed from inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.emulator.backends.turns import turn
from clouddeploy.emulator.settings import ACCOUNT


@dataclass(frozen=True)
class Integration:
    """Where a route leads.

    Args:
        kind: such as ``AWS_PROXY``.
        uri: of the function, or of an HTTP server.
        payload: payload format version.
        timeout_s: after which the gateway gives up.
    """

    kind: str
    uri: str
    payload: str
    timeout_s: float


@dataclass(frozen=True)
class Route:
    """A route: ``key`` is such as ``POST /predict`` or ``$default``."""

    key: str
    authorization: str
    integration: Integration | None


@dataclass(frozen=True)
class Api:
    """An HTTP API as far as answering its requests matters."""

    identity: str
    region: str
    protocol: str
    disabled: bool
    cors: Mapping[str, Any]
    routes: tuple[Route, ...]
    stages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def domain(self) -> str:
        """Its host on AWS."""
        return f"{self.identity}.execute-api.{self.region}.amazonaws.com"


def _backends() -> Any:
    from moto.apigatewayv2.models import apigatewayv2_backends

    return apigatewayv2_backends[ACCOUNT]


def find(identity: str) -> Api | None:
    """The API of that id, in whichever region."""
    with turn("apigateway"):
        for region, backend in list(_backends().items()):
            found = backend.apis.get(identity)
            if found is not None:
                return _api(region, found)
    return None


def _api(region: str, found: Any) -> Api:
    routes = tuple(
        Route(r.route_key, r.authorization_type or "NONE", _integration(found, r.target))
        for r in found.routes.values()
    )
    stages = {name: dict(stage.stage_variables or {}) for name, stage in found.stages.items()}
    disabled = str(found.disable_execute_api_endpoint).lower() == "true"
    return Api(
        found.api_id, region, found.protocol_type, disabled, found.cors_configuration or {}, routes, stages
    )


def _integration(api: Any, target: str | None) -> Integration | None:
    found = api.integrations.get((target or "").removeprefix("integrations/"))
    if found is None:
        return None
    return Integration(
        found.integration_type,
        found.integration_uri or "",
        found.payload_format_version or "1.0",
        int(found.timeout_in_millis) / 1000,
    )


def update_stage(region: str, identity: str, name: str, changes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Change a stage, which moto can't; its new description, or None when there is no such stage."""
    with turn("apigateway"):
        api = _backends()[region].apis.get(identity)
        stage = api.stages.get(name) if api is not None else None
        if stage is None:
            return None
        made = type(stage)(api=api, config={**stage.config, **changes, "stageName": name})
        made.created = stage.created
        api.stages[name] = made
        described: dict[str, Any] = made.to_json()
        return described
