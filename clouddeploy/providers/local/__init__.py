"""Target ``local``: the model server as a background service of this machine, with releases and traffic.

A small process for each deployment, the keeper, starts a server for each copy of each release in service,
and stands before them. See docs/local.md and docs/decisions/0009-local-service.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clouddeploy.providers.local.provider import Local

__all__ = ["Local"]


def __getattr__(name: str) -> Any:
    # The keeper is in this package, too, and doesn't need the provider: it starts sooner without.
    if name in __all__:
        from clouddeploy.providers.local.provider import Local

        return Local
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
