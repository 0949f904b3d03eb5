"""The data plane: uploaded source is built, and revisions run as processes on this machine.

::

    plane = Revisions(folder, settings, lambda: google_url)
    built = plane.build(zip_path, entry_point="predict", runtime="python313", log=log)   # BuildFailed
    plane.add(RevisionSpec(name, service, project, region, built.root, built.environment, …))  # NotReady
    response = plane.handle(name, request)      # `request.target` as the container shall see it
    plane.remove(name)
"""

from clouddeploy.emulator.google.plane.build import BuildFailed, Built
from clouddeploy.emulator.google.plane.instance import NotReady
from clouddeploy.emulator.google.plane.revisions import Revisions
from clouddeploy.emulator.google.plane.spec import RevisionSpec

__all__ = ["BuildFailed", "Built", "NotReady", "RevisionSpec", "Revisions"]
