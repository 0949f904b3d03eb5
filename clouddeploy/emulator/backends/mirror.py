"""Our SageMaker records as moto's own objects, so that its other services (tags, jobs) see them."""

from __future__ import annotations

from typing import Any, Protocol

from clouddeploy.emulator.settings import ACCOUNT


def _backend(region: str) -> Any:
    from moto.sagemaker.models import sagemaker_backends

    return sagemaker_backends[ACCOUNT][region]


def _store(region: str, kind: str) -> dict[str, Any]:
    backend = _backend(region)
    stores = {
        "model": backend._models,
        "endpoint-config": backend.endpoint_configs,
        "endpoint": backend.endpoints,
    }
    found: dict[str, Any] = stores[kind]
    return found


class Tagged(Protocol):
    """What moto's tagging reads of an object, and writes."""

    tags: list[dict[str, str]]

    @property
    def arn(self) -> str:
        """Its ARN."""


def put(region: str, kind: str, name: str, record: Tagged) -> None:
    """Let moto see an object."""
    _store(region, kind)[name] = record


def drop(region: str, kind: str, name: str) -> None:
    """Let moto forget it."""
    _store(region, kind).pop(name, None)
