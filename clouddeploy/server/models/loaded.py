"""One version of one model, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service
    from clouddeploy.server.engine import Engine
    from clouddeploy.server.message import Headers


@dataclass(frozen=True, eq=False)
class Loaded:
    """One version of a model, ready to answer.

    Whoever answers with it keeps it until the answer is sent: a version that is unloaded ends when
    nobody holds it any more.

    Args:
        name: the model's.
        version: of it, a whole number as text where it comes from a folder of versions.
        service: decodes, predicts and encodes.
        engine: makes batches of requests for it.
        release: the model's digest.
        headers: what every answer of it carries.
        load_s: seconds that loading and warming up took.
    """

    name: str
    version: str
    service: Service
    engine: Engine
    release: str
    headers: Headers
    load_s: float = 0.0
