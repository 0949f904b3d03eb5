"""Conditional writes ("How to prevent object overwrites with conditional writes", Amazon S3 User Guide).

moto looks and writes in two steps; of two requests at once the real service lets only one through, and
a lock is built on that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clouddeploy.emulator.backends.turns import WRITES
from clouddeploy.emulator.call import Call
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.s3.digests import check_body

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

CONDITIONS = frozenset({"if-match", "if-none-match"})


def put(cloud: Cloud, call: Call) -> Response:
    """PutObject: its body is checked, and its condition holds when it is written."""
    check_body(cloud, call)
    return write(cloud, call)


def write(cloud: Cloud, call: Call) -> Response:
    """DeleteObject and others: moto's answer, alone when the call has a condition."""
    if CONDITIONS.isdisjoint(call.request.headers):
        return cloud.moto(call.request)
    with WRITES:
        return cloud.moto(call.request)
