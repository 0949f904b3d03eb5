"""Deploy machine-learning models to any cloud through one interface.

Importing the package loads none of its parts: each public name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clouddeploy.autoscaling.policy import Concurrency, Cpu, RequestsPerMinute, Utilization
    from clouddeploy.client import AsyncClient, Client
    from clouddeploy.deployer import Deployer
    from clouddeploy.endpoint import Endpoint
    from clouddeploy.engine.plan import Plan
    from clouddeploy.errors import CloudDeployError
    from clouddeploy.model import Model
    from clouddeploy.spec import Access, Alarm, Autoscaling, Compute, Deployment, Schedule, Status, Summary

__version__ = "0.1.0"

_HOMES = {
    "Access": "spec",
    "Alarm": "spec",
    "AsyncClient": "client",
    "Autoscaling": "spec",
    "Client": "client",
    "CloudDeployError": "errors",
    "Compute": "spec",
    "Concurrency": "autoscaling.policy",
    "Cpu": "autoscaling.policy",
    "Deployer": "deployer",
    "Deployment": "spec",
    "Endpoint": "endpoint",
    "Model": "model",
    "Plan": "engine.plan",
    "RequestsPerMinute": "autoscaling.policy",
    "Schedule": "spec",
    "Status": "spec",
    "Summary": "spec",
    "Utilization": "autoscaling.policy",
}

__all__ = [
    "Access",
    "Alarm",
    "AsyncClient",
    "Autoscaling",
    "Client",
    "CloudDeployError",
    "Compute",
    "Concurrency",
    "Cpu",
    "Deployer",
    "Deployment",
    "Endpoint",
    "Model",
    "Plan",
    "RequestsPerMinute",
    "Schedule",
    "Status",
    "Summary",
    "Utilization",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'clouddeploy' has no attribute {name!r}")
    value = getattr(import_module(f"clouddeploy.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
