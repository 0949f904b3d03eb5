"""Which version of which model an answer is counted for, and which error it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clouddeploy.monitoring.recording import OTHER
from clouddeploy.runtime.errors import STATUS

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.message import Headers, Response
    from clouddeploy.server.models import Loaded

CODE = re.compile(rb'\{"error":\{"code":"([a-z_]+)"')
CODE_HEADER = "x-clouddeploy-error"
NAMELESS = frozenset(("/", "/predict", "/batch_predict", "/invocations"))
"""Paths that predict without naming a model."""


def by_headers(app: App, headers: Headers) -> Loaded | None:
    """Which version answered: its headers are in the response's."""
    if not headers:
        return None
    names = set(headers)
    return next((one for one in app.models.all() if one.headers and names.issuperset(one.headers)), None)


def by_name(app: App, exchange: Exchange) -> Loaded | None:
    """Which version was asked, where no answer tells it: what the path names, or the only one there is."""
    known = exchange.attributes
    name, version = known.get("model"), known.get("version") or known.get("arm")
    if name is None and exchange.request.path not in NAMELESS:
        return None
    found = [one for one in app.models.all() if name in (None, one.name) and version in (None, one.version)]
    return found[0] if len(found) == 1 else None


def code_of(response: Response) -> str:
    """The error code in a response, in whatever frame; one of `STATUS`, or ``other``."""
    for name, value in response.headers:
        if name == CODE_HEADER:
            return value if value in STATUS else OTHER
    found = CODE.match(response.body)
    code = found[1].decode() if found else ""
    return code if code in STATUS else OTHER
