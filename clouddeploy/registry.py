"""Finds the provider behind a target, by entry point, and tells how to get one that is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import SpecError, TargetError
from clouddeploy.spec import suggest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from clouddeploy.providers import Provider

GROUP = "clouddeploy.providers"
EXTRAS: Mapping[str, str] = {
    "sagemaker": "aws",
    "lambda": "lambda",
    "cloud-functions": "gcp",
    "cloud-run": "gcp",
    "local": "serve",
}
"""The extra that brings what a target of ours needs, where it needs more than the base install."""


def _found() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def targets() -> list[str]:
    """Names of the targets that are installed, sorted."""
    return sorted(_found())


def load(target: str, options: Mapping[str, Any]) -> Provider:
    """The provider of `target`, made with `options`.

    Raises:
        TargetError: no such target, or what it needs isn't installed.
        SpecError: an option that the provider doesn't know.
    """
    kind = kind_of(target)
    try:
        provider: Provider = kind(**options)
    except TypeError as error:
        raise SpecError(
            f"target {target!r} doesn't take {_unknown(kind, options) or 'such options'}",
            why=str(error),
            fix=f"see help({kind.__name__}) for the options it takes",
        ) from error
    return provider


def _unknown(kind: type[Provider], options: Mapping[str, Any]) -> str:
    """The options that `kind` has no parameter for, where that can be seen."""
    import inspect
    from typing import get_args, get_type_hints

    known: set[str] = set()
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            told = get_args(get_type_hints(kind.__init__).get(parameter.name))
            known |= set(getattr(told[0], "__annotations__", ())) if told else set(options)
        else:
            known.add(parameter.name)
    return ", ".join(repr(name) for name in sorted(set(options) - known))


def kind_of(target: str) -> type[Provider]:
    """The class behind `target`.

    Raises:
        TargetError: no such target, or what it needs isn't installed.
    """
    found = _found()
    if target not in found:
        raise TargetError(
            f"no target named {target!r}{suggest(target, found)}",
            why=f"installed targets: {', '.join(sorted(found)) or 'none'}",
            fix="name one of them, or install the package that brings the target",
        )
    try:
        kind: type[Provider] = found[target].load()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "clouddeploy":
            raise
        raise missing(target, error) from error
    return kind


def missing(target: str, error: ModuleNotFoundError) -> TargetError:
    """The error for a target whose needs aren't installed, with the command that installs them."""
    extra = EXTRAS.get(target, target)
    return TargetError(
        f"target {target!r} needs {error.name!r}, which isn't installed",
        why=str(error),
        fix=f"pip install 'clouddeploy[{extra}]'",
    )
