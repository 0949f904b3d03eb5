"""Cloud Storage, over the JSON API and the parts of the XML API that clients upload with.

::

    storage = Storage(folder, lambda: google_url)
    Listener(handle, streamed=storage.streams)            # uploads aren't held in memory
    storage.handle(request)                               # None: not a request for storage
    storage.open("bucket", "name", generation)            # the bytes, for the control plane
"""

from clouddeploy.emulator.google.storage.answers import Refusal
from clouddeploy.emulator.google.storage.service import Storage

__all__ = ["Refusal", "Storage"]
