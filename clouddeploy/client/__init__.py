"""Clients of the model server, and of whatever else speaks its protocols.

`Client` blocks, `AsyncClient` is awaited; both do the same steps (see `steps`), keep their connections and
need nothing but the standard library and numpy.
"""

from __future__ import annotations

from clouddeploy.client.aio import AsyncClient
from clouddeploy.client.blocking import Client
from clouddeploy.client.breaker import Breaker
from clouddeploy.client.retries import Retries
from clouddeploy.client.settings import Timeouts

__all__ = ["AsyncClient", "Breaker", "Client", "Retries", "Timeouts"]
