"""What is wished of each model: one small JSON file that every worker of a server follows.

It is replaced as a whole, so that nobody reads half of it, and may be edited by hand or by a program.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clouddeploy.errors import SpecError
from clouddeploy.server.models.assignment import check_sticky
from clouddeploy.server.models.policy import Policy

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What names of models, versions and labels are made of."""
LARGEST = 1 << 20


@dataclass(frozen=True)
class Shadow:
    """A version that gets copies of requests; its answers go to nobody.

    Args:
        version: which.
        percent: of the requests, above 0 and up to 100.
    """

    version: str
    percent: float


@dataclass(frozen=True)
class Wish:
    """What is wished of one model. What is empty is left as the server's settings have it.

    Args:
        policy: which versions to load: ``latest:N``, ``all``, ``1,3``.
        weights: percent of the requests by version; without any the newest version gets all.
        sticky: where the key is found that always gets the same version; without one it is chance.
        salt: another one deals the keys anew.
        labels: version by label, such as ``{"stable": "1"}``.
        shadow: who gets copies.
        load: versions to load besides those of the policy.
        unload: versions not to load, whatever else is said.
        folders: version by name in a folder of its own, besides those that are found.
        attempt: a larger number lets versions that failed be tried again.
    """

    policy: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    sticky: str = ""
    salt: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    shadow: Shadow | None = None
    load: tuple[str, ...] = ()
    unload: tuple[str, ...] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 0

    @property
    def named(self) -> set[str]:
        """The versions that must stay loaded because something points at them."""
        shadow = {self.shadow.version} if self.shadow else set()
        return {*self.weights, *self.labels.values(), *self.load, *shadow}

    @classmethod
    def parse(cls, model: str, value: object) -> Wish:
        """The wish in a JSON object.

        Raises:
            SpecError: a key or a value is not one that is allowed.
        """
        if not isinstance(value, dict):
            raise _wrong(model, value, "an object")
        unknown = sorted(set(value) - set(cls.__dataclass_fields__))
        if unknown:
            raise _wrong(
                f"{model}.{unknown[0]}", value[unknown[0]], f"keys {', '.join(cls.__dataclass_fields__)}"
            )
        policy = value.get("policy", "")
        if policy:
            Policy.parse(str(policy))
        attempt = value.get("attempt", 0)
        if not isinstance(attempt, int):
            raise _wrong(f"{model}.attempt", attempt, "a whole number")
        return cls(
            policy=str(policy),
            weights=parse_weights(value.get("weights", {}), f"{model}.weights"),
            sticky=check_sticky(str(value.get("sticky", ""))),
            salt=str(value.get("salt", "")),
            labels=_names(value.get("labels", {}), f"{model}.labels"),
            shadow=parse_shadow(value.get("shadow"), f"{model}.shadow"),
            load=_list(value.get("load", []), f"{model}.load"),
            unload=_list(value.get("unload", []), f"{model}.unload"),
            folders=_folders(value.get("folders", {}), f"{model}.folders"),
            attempt=attempt,
        )


Wishes = Mapping[str, Wish]


def _wrong(where: str, value: object, allowed: str) -> SpecError:
    shown = repr(value)[:100]
    return SpecError(f"models state: {where} is {shown}", why=f"allowed: {allowed}", fix="correct it")


def parse_weights(value: object, where: str) -> dict[str, float]:
    """Percents by version, without the zeros.

    Raises:
        SpecError: they aren't numbers of which the sum is 100.
    """
    if not isinstance(value, dict):
        raise _wrong(where, value, 'an object such as {"1": 90, "2": 10}')
    for version, percent in value.items():
        number = isinstance(percent, int | float) and not isinstance(percent, bool)
        if not NAME.fullmatch(version) or not number or not 0 <= percent <= 100:
            raise _wrong(f"{where}.{version}", percent, "a percent from 0 to 100")
    if value and not math.isclose(sum(value.values()), 100, abs_tol=0.01):
        raise _wrong(where, value, f"percents that make 100; these make {sum(value.values()):g}")
    return {version: float(percent) for version, percent in value.items() if percent > 0}


def parse_shadow(value: object, where: str) -> Shadow | None:
    """The shadow that a JSON object describes.

    Raises:
        SpecError: it is none.
    """
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"version", "percent"}:
        raise _wrong(where, value, '{"version": "2", "percent": 10} or null')
    version, percent = str(value["version"]), value["percent"]
    if not NAME.fullmatch(version):
        raise _wrong(f"{where}.version", version, "a version's name")
    if not isinstance(percent, int | float) or isinstance(percent, bool) or not 0 < percent <= 100:
        raise _wrong(f"{where}.percent", percent, "a percent above 0 and up to 100")
    return Shadow(version, float(percent))


def _names(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _wrong(where, value, 'an object such as {"stable": "1"}')
    for label, version in value.items():
        if not NAME.fullmatch(label) or not NAME.fullmatch(str(version)):
            raise _wrong(f"{where}.{label}", version, "names of letters, digits, dots, hyphens")
    return {label: str(version) for label, version in value.items()}


def _list(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(NAME.fullmatch(str(one)) for one in value):
        raise _wrong(where, value, 'a list of versions such as ["1"]')
    return tuple(dict.fromkeys(str(one) for one in value))


def _folders(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _wrong(where, value, 'an object such as {"1": "/models/digits-1"}')
    for version, folder in value.items():
        if not NAME.fullmatch(version) or not isinstance(folder, str) or not Path(folder).is_absolute():
            raise _wrong(f"{where}.{version}", folder, "the absolute path of a model's folder")
    return dict(value)


class StateFile:
    """The file with the wishes.

    Args:
        path: where it is; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> tuple[int, ...]:
        """What changes whenever the file is replaced or written."""
        try:
            found = self.path.stat()
        except OSError:
            return ()
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def read(self) -> dict[str, Wish]:
        """The wishes by model; none without a file.

        Raises:
            SpecError: the file can't be read, or holds what isn't allowed.
        """
        try:
            if self.path.stat().st_size > LARGEST:
                raise SpecError(f"{self.path} has over {LARGEST} bytes", fix="correct it")
            value = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise SpecError(f"{self.path} can't be read", why=str(error), fix="correct it") from error
        models = value.get("models") if isinstance(value, dict) else None
        if not isinstance(models, dict):
            raise _wrong("the document", value, '{"models": {"<name>": {…}}}')
        for name in models:
            if not NAME.fullmatch(name):
                raise _wrong("a model's name", name, "letters, digits, dots, hyphens")
        return {name: Wish.parse(name, wish) for name, wish in models.items()}

    def change(self, model: str, how: Callable[[Wish], Wish]) -> dict[str, Wish]:
        """Change what is wished of one model; the wishes afterwards. Safe among processes.

        Raises:
            SpecError: the file or the new wish isn't right; nothing was changed.
        """
        with self._locked():
            wishes = self.read()
            new = how(wishes.get(model, Wish()))
            wishes[model] = Wish.parse(model, json.loads(json.dumps(as_json(new))))
            plain = {"models": {name: as_json(wish) for name, wish in wishes.items()}}
            write_whole(self.path, json.dumps(plain, indent=1).encode())
        return wishes

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(self.path.name + ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def as_json(wish: Wish) -> dict[str, Any]:
    """A wish as the file has it: without what is empty."""
    return {key: value for key, value in asdict(wish).items() if value}


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by `content` at once."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
