"""Target ``memory``: a cloud inside this process. The reference provider, for learning and for tests.

It has everything that a real provider has (a seam, resources, a lock, stale things, releases) and
runs the model for real, from the bytes that were stored. Nothing outlives the process.
"""

from clouddeploy.providers.memory.client import Client
from clouddeploy.providers.memory.cloud import MemoryCloud
from clouddeploy.providers.memory.provider import Memory

__all__ = ["Client", "Memory", "MemoryCloud"]
