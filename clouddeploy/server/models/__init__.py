"""What can predict in this worker: models by name, versions of each, and who gets which.

The supervisor reads policies from here and must stay small, so the rest is loaded when it is first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clouddeploy.server.models.loaded import Loaded
    from clouddeploy.server.models.registry import Models

__all__ = ["Loaded", "Models"]
_HOMES = {"Loaded": "loaded", "Models": "registry"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
