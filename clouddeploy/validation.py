"""Checks on single values, which name the field, the value and what is allowed."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from clouddeploy.errors import SpecError

NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
NAME_LIMIT = 63


def suggest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest of `known`, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_name(name: str) -> str:
    """Return `name` if every target accepts it as it is.

    One rule for all targets, so that a name is never rewritten and two names never become one:
    lower-case letters, digits and single inner hyphens, at most 63 characters.

    Raises:
        SpecError: it breaks the rule.
    """
    if isinstance(name, str) and len(name) <= NAME_LIMIT and NAME.fullmatch(name):
        return name
    usable = re.sub(r"-+", "-", re.sub(r"[^a-z0-9]+", "-", str(name).lower()))[:NAME_LIMIT].strip("-")
    raise SpecError(
        f"name {name!r} can't be used",
        why=f"allowed: lower-case letters, digits and single inner hyphens, at most {NAME_LIMIT} characters",
        fix=f"name it {usable!r}" if usable else "choose a name such as 'digits'",
    )


def check_number(
    owner: object, name: str, value: object, low: float, high: float, unit: str, *, whole: bool = True
) -> None:
    """Refuse a `value` that isn't a finite number from `low` to `high`; `unit` follows the range.

    Raises:
        SpecError: it isn't.
    """
    kind = int if whole else (int, float)
    good = (
        isinstance(value, kind)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low <= value <= high
    )
    if not good:
        noun = "a whole number" if whole else "a number"
        top = f" to {high:,}" if math.isfinite(high) else " or more"
        raise SpecError(
            f"{type(owner).__name__}.{name} is {value!r}",
            why=f"allowed: {noun} from {low:,}{top}{' ' + unit if unit else ''}",
            fix=f"give {name} a value in that range",
        )


def check_choice(owner: object, name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse a `value` that isn't one of `allowed`.

    Raises:
        SpecError: it isn't; suggests the nearest.
    """
    if value not in allowed:
        raise SpecError(
            f"{type(owner).__name__}.{name} is {value!r}",
            why=f"allowed: {', '.join(map(repr, allowed))}",
            fix=f"choose one of them{suggest(str(value), allowed)}",
        )


def check_flag(owner: object, name: str, value: object) -> None:
    """Refuse a `value` that is neither True nor False.

    Raises:
        SpecError: it isn't.
    """
    if not isinstance(value, bool):
        raise SpecError(
            f"{type(owner).__name__}.{name} is {value!r}",
            why="allowed: True or False",
            fix="give one of them",
        )


def check_text_map(
    owner: str, name: str, value: Mapping[str, str], key_rule: re.Pattern[str] | None
) -> Mapping[str, str]:
    """A read-only copy of `value`, refused unless it maps texts that fit `key_rule` to texts.

    Raises:
        SpecError: it doesn't.
    """
    for k, v in value.items():
        if not isinstance(k, str) or not isinstance(v, str):
            raise SpecError(
                f"{owner}.{name}[{k!r}] is {v!r}",
                why="allowed: text keys with text values",
                fix=f"write {name}={{{str(k)!r}: {str(v)!r}}}",
            )
        if key_rule and not key_rule.fullmatch(k):
            raise SpecError(
                f"{owner}.{name} has the key {k!r}",
                why="allowed: letters, digits and underscores, not a digit first",
                fix="rename it",
            )
    return MappingProxyType(dict(value))


def check_shares(shares: Mapping[str, int]) -> dict[str, int]:
    """Percents of the requests by release, as whole numbers above 0 that add up to 100.

    A release with 0 percent is left out.

    Raises:
        SpecError: they are something else.
    """
    if not isinstance(shares, Mapping):
        raise SpecError(
            f"the shares are {shares!r}",
            why="allowed: a mapping of releases to percents",
            fix="give for example {new: 10, old: 90}",
        )
    for release, percent in shares.items():
        if not re.fullmatch(r"[0-9a-f]{4,64}", str(release)):
            raise SpecError(
                f"{release!r} names no release",
                why="a release is named by its digest, or the first 4 digits of it at least",
                fix="see Endpoint.releases() for those that are kept",
            )
        if isinstance(percent, bool) or not isinstance(percent, int) or not 0 <= percent <= 100:
            raise SpecError(
                f"release {release[:10]} should get {percent!r} percent",
                why="allowed: whole numbers from 0 to 100",
                fix="give for example {new: 10, old: 90}",
            )
    if sum(shares.values()) != 100:
        raise SpecError(
            f"the shares add up to {sum(shares.values())} percent",
            why="every request goes to one release",
            fix="make them add up to 100",
        )
    return {release: percent for release, percent in shares.items() if percent}
