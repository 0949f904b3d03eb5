"""Requirements of user code, checked and in one spelling."""

from __future__ import annotations

from collections.abc import Iterable

from clouddeploy.errors import ModelError


def normal(requirements: Iterable[str]) -> tuple[str, ...]:
    """PEP 508 requirements without repeats, sorted.

    Raises:
        ModelError: one of them can't be read.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    found = set()
    for line in requirements:
        try:
            found.add(str(Requirement(line)))
        except (InvalidRequirement, TypeError) as error:
            raise ModelError(
                f"the requirement {line!r} can't be read",
                why=str(error).splitlines()[0],
                fix="write it as 'name>=1.2'",
            ) from error
    return tuple(sorted(found))
