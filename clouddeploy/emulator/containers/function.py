"""Starts AWS's own runtime interface client in a function's process.

Runs as a script in an environment that has no clouddeploy: standard library and awslambdaric only. As on
Lambda the function's code comes first on ``sys.path``, layers after it, and nothing can be written
outside ``/tmp`` ("Lambda execution environment", Lambda Developer Guide).

    python -P -s -B -u function.py HANDLER PATHS_JSON WRITABLE_JSON READ_ONLY
"""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Audit events that change the file system, and which of their arguments are paths.
CHANGES = {
    "os.mkdir": (0,), "os.rmdir": (0,), "os.remove": (0,), "os.rename": (0, 1), "os.link": (1,),
    "os.symlink": (1,), "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,),
}  # fmt: skip


def refuse_writes(read_only: str, writable: list[str]) -> None:
    """Make Python's own file functions see a read-only file system.

    An audit hook rather than permission bits, which mean nothing to a root user. Native code isn't seen.
    """
    inside = tuple(os.path.realpath(path) for path in writable)
    root = os.path.realpath(read_only)

    def under(path: str, folder: str) -> bool:
        return path == folder or path.startswith(folder + os.sep)

    def check(path: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        real = os.path.realpath(os.fsdecode(path))
        if under(real, root) or not any(under(real, folder) for folder in inside):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fsdecode(path))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if isinstance(arguments[2], int) and arguments[2] & WRITING:
                check(arguments[0])
        elif event in CHANGES:
            for index in CHANGES[event]:
                check(arguments[index])

    sys.addaudithook(hook)


def main(handler: str, paths: list[str], writable: list[str], read_only: str) -> None:
    """Become the function."""
    # Everything of the client's is imported before the function's own folder can shadow it.
    from awslambdaric import bootstrap, lambda_runtime_client  # type: ignore[import-untyped]

    sys.path[:0] = paths
    sys.argv = [handler]
    refuse_writes(read_only, writable)
    bootstrap.run(handler, lambda_runtime_client.LambdaRuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"]))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4])
