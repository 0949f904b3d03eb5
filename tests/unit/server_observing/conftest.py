"""A real server on loopback, as the tests of the protocols have it."""

from __future__ import annotations

from tests.unit.server_protocols.conftest import serve

__all__ = ["serve"]
