"""Batches: requests that wait for the same model are answered together."""

from clouddeploy.server.engine.batching import Engine

__all__ = ["Engine"]
