"""What can predict in this worker: models by name, versions of each, and who gets which."""

from __future__ import annotations

from clouddeploy.server.models.loaded import Loaded
from clouddeploy.server.models.registry import Models

__all__ = ["Loaded", "Models"]
