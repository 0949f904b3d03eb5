"""How large the tensors of one request may be, whatever protocol they come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.errors import WireError

if TYPE_CHECKING:
    from clouddeploy.runtime.decode import Request
    from clouddeploy.server.engine.jobs import Rows
    from clouddeploy.server.settings import ServerSettings

Check = Callable[["Request | Rows"], None]


def check_of(settings: ServerSettings) -> Check | None:
    """What refuses a request that is too large; None where the settings have no limit."""
    if not settings.max_elements and not settings.max_dims:
        return None
    return Limits(settings.max_elements, settings.max_dims).check


class Limits:
    """Bounds on what the model gets.

    Args:
        elements: of all tensors together; 0 for any number.
        dims: of each tensor, that of the batch included; 0 for any number.
    """

    def __init__(self, elements: int, dims: int) -> None:
        self._elements, self._dims = elements, dims

    def check(self, request: Request | Rows) -> None:
        """Refuse a request that is too large.

        Raises:
            WireError: ``too_large`` or ``bad_shape``.
        """
        values = getattr(request, "values", None)
        if values is not None:
            elements, dims = _counted(values)
        else:
            inputs = request.inputs  # type: ignore[union-attr]
            arrays: list[Any] = list(inputs.values()) if isinstance(inputs, dict) else [inputs]
            elements, dims = sum(a.size for a in arrays), max((a.ndim for a in arrays), default=0)
        if self._elements and elements > self._elements:
            raise WireError(
                "too_large",
                f"the request has {elements} numbers; at most {self._elements} are taken",
                "send fewer examples in one request",
            )
        if self._dims and dims > self._dims:
            raise WireError(
                "bad_shape", f"a tensor has {dims} dimensions; at most {self._dims} are taken", "send fewer"
            )


def _counted(values: list[Any]) -> tuple[int, int]:
    """Numbers in nested lists, and how deep they are nested."""
    dims, level = 1, values
    while any(isinstance(one, list) for one in level):
        dims += 1
        level = [part for one in level for part in (one if isinstance(one, list) else (one,))]
    return len(level), dims
