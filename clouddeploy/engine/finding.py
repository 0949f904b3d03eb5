"""What a plan tells besides its steps: what the target can't do, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Support = Literal["exact", "approximated", "impossible"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a target makes of one field of the wish.

    Args:
        field: path of the field, such as ``autoscaling.min``.
        support: whether the target does it exactly, approximately or not at all.
        reason: why.
        mend: what to write instead, or what follows from leaving it.
    """

    field: str
    support: Support
    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.field}: {self.support}: {self.reason}; {self.mend}"


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a target makes of one field of `Autoscaling`, whatever value it has.

    Args:
        support: whether the target does it exactly, approximately or not at all.
        how: what becomes of it there, or why nothing does.
    """

    support: Support
    how: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What one resource costs by the provider's list price.

    Args:
        resource: its key.
        usd_per_hour: US dollars per hour while it runs; None where only use is charged or the
            price is unknown.
        basis: how the figure came about, with its source and date.
    """

    resource: str
    usd_per_hour: float | None
    basis: str
