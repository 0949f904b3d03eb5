"""What a call gives, be it a refusal: harnesses look at both."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")
Refusal = TypeVar("Refusal", bound=Exception)


def outcome(act: Callable[[], Value], refusal: type[Refusal]) -> Value | Refusal:
    """What `act` returns, or the `refusal` that it raises; whatever else it raises is a finding."""
    try:
        return act()
    except refusal as error:
        return error
