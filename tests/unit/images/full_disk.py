"""Run as a process of its own: writes and pushes an image where no file may have over 1 MiB."""

from __future__ import annotations

import random
import resource
import signal
import sys
from pathlib import Path

from clouddeploy.errors import ModelError
from clouddeploy.packaging import Member
from clouddeploy.packaging.images import ImageArtifact
from tests.unit.images.making import image_on, reach

if __name__ == "__main__":
    host, out = sys.argv[1:]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    noise = Member.of_bytes("w.bin", random.Random(1).randbytes(3 << 20))
    image = ImageArtifact.of(image_on(reach(host)).base, [noise], root="/opt/ml")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    for act in (lambda: image.write(Path(out) / "image"), lambda: image.push(reach(host), "mine", "v1")):
        try:
            act()
        except ModelError as error:
            sys.stdout.write(f"{error.what}\n")
