"""A registry of container images on loopback: OCI's Distribution API, kept on disk.

One `Store` holds the images of every cloud that is emulated; each product that offers repositories
adds a `Space`, which says what repositories it has and who may use them. `api.answer` is mounted on
every listener::

    store = Store(folder)
    store.spaces.append(Space(owns=…, exists=…))
    response = api.answer(store, request)         # None: the request is no registry's
    image = store.image("eu-west-1/digits", "sha256:…")
    unpack(image, folder)                         # its files, layer by layer
"""

from clouddeploy.emulator.registry.images import StoredImage
from clouddeploy.emulator.registry.spaces import Space
from clouddeploy.emulator.registry.store import Store
from clouddeploy.emulator.registry.unpacking import unpack

__all__ = ["Space", "Store", "StoredImage", "unpack"]
