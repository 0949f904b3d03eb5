"""serve: the model server on this machine, from a weights file or from folders that are packaged already."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.cli.session import UsageError
from clouddeploy.cli.writing import Order, written
from clouddeploy.errors import NotFound

if TYPE_CHECKING:
    from clouddeploy.cli.session import Session
    from clouddeploy.server.settings import ServerSettings

FLAGS = (
    "name", "versions", "host", "port", "workers", "threads", "max_batch", "queue", "state", "admin_token",
    "access_log",
)  # fmt: skip
"""Flags that are settings of the server under the same name."""
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
MANIFEST = "clouddeploy.json"
SMALL = 20
"""Numbers of an example that still fit a line."""


def serve(args: Namespace, session: Session) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from clouddeploy.server.main import check_installed
    from clouddeploy.server.main import serve as run
    from clouddeploy.server.models.policy import Policy

    check_installed()
    checked = _settings(_values(args, session))
    Policy.parse(checked.versions)  # reading the model takes long: what can be told before is
    with _folder(args, session) as folder:
        settings = checked.changed({"models": folder})

        def ready(url: str) -> None:
            _tell(url, settings, args, session)

        return run(settings, ready)


def _values(args: Namespace, session: Session) -> dict[str, Any]:
    """The settings that environment and flags give; flags win."""
    from clouddeploy.server.main import from_environment, parse_setting

    values = from_environment(session.terminal.environ)
    for text in args.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(
                f"--set got {text!r}", fix="write it as NAME=VALUE, such as --set idle_timeout_s=30"
            )
        values[name] = parse_setting(name, value)
    values |= {flag: getattr(args, flag) for flag in FLAGS if getattr(args, flag) is not None}
    if args.max_delay is not None:
        values["max_delay_ms"] = seconds(args.max_delay, "--max-delay", "ms") * 1000
    if args.drain is not None:
        values["drain_s"] = seconds(args.drain, "--drain", "s")
    for name in ("state", "admin_token"):
        if name in values:
            values[name] = Path(values[name]).absolute()
    return values


def seconds(text: str, flag: str, unit: str) -> float:
    """The seconds in a text such as ``2ms`` or ``30s``; a number alone has `unit`.

    Raises:
        UsageError: it is no such text.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s|m)?", text.strip())
    if not found:
        raise UsageError(f"{flag} is {text!r}", why="allowed: such as 500us, 2ms, 30s", fix="correct it")
    return float(found[1]) * UNITS[found[2] or unit]


def _settings(values: dict[str, Any]) -> ServerSettings:
    from clouddeploy.server.settings import ServerSettings

    return ServerSettings().changed(values)


@contextmanager
def _folder(args: Namespace, session: Session) -> Iterator[Path]:
    """The folder to serve: one that is there, or one that is made for the while."""
    if args.models is not None:
        if args.model is not None:
            raise UsageError("serve takes MODEL or --models, not both", fix="leave one away")
        yield _existing(session.folder / args.models)
        return
    path = _existing(session.folder / (args.model or ""))
    if path.is_dir() and args.handler is None and not (path / "clouddeploy.toml").is_file():
        if not (path / MANIFEST).is_file() and not any(path.glob(f"*/{MANIFEST}")):
            _check_versions(path)
        yield path
        return
    handler = session.folder / args.handler if args.handler else None
    with written(Order(path, handler, args.source, args.allow_pickle), session.terminal) as folder:
        yield folder


def _existing(path: Path) -> Path:
    if not path.exists():
        raise NotFound(f"there is no file or folder {str(path)!r}", fix="correct the path")
    return path.absolute()


def _check_versions(path: Path) -> None:
    if not any(path.glob(f"*/*/{MANIFEST}")):
        raise NotFound(
            f"there is no model in the folder {str(path)!r}",
            why=f"neither a {MANIFEST} or clouddeploy.toml is in it, nor <model>/<version>/{MANIFEST}",
            fix="name weights, or a folder of files together with --handler; --models serves an empty folder",
        )


def _tell(url: str, settings: ServerSettings, args: Namespace, session: Session) -> None:
    """Where it answers, and how to ask it."""
    if args.json:
        session.terminal.json({"url": url, "workers": settings.workers, "models": str(settings.models)})
        return
    terminal = session.terminal
    terminal.data(f"serving at {url}")
    body, path = example(settings.models)
    terminal.say(f"  try it: curl {url}{path} -H 'content-type: application/json' -d '{body}'")
    terminal.say(f"  more:   {url}/docs")
    terminal.say("  stop:   Ctrl-C")


def example(models: Path) -> tuple[str, str]:
    """The body of a request that the model in `models` takes, as far as that is known, and its path."""
    path, manifest = "/predict", models / MANIFEST
    if not manifest.is_file():
        found = sorted(models.glob(f"*/*/{MANIFEST}")) or sorted(models.glob(f"*/{MANIFEST}"))
        if not found:
            return '{"input":[…]}', path
        manifest = found[-1]
        model = manifest.relative_to(models).parts[0]
        path = (
            "/predict"
            if len({one.relative_to(models).parts[0] for one in found}) == 1
            else f"/v1/models/{model}:predict"
        )
    inputs = (json.loads(manifest.read_text("utf-8")).get("signature") or {}).get("inputs") or []
    one: Any = {row["name"]: _zeros(row) for row in inputs}
    if len(inputs) == 1:
        one = next(iter(one.values()))
    key, value = ("input", one) if path == "/predict" else ("instances", [one])
    text = json.dumps({key: value}, separators=(",", ":"))
    return (text if inputs and "null" not in text else f'{{"{key}":…}}'), path


def _zeros(row: dict[str, Any]) -> Any:
    """An example of one input; None where it would be too long to be shown."""
    shape = [size or 1 for size in row["shape"][1:]]
    count = 1
    for size in shape:
        count *= size
    if count > SMALL:
        return None
    value: Any = "text" if row["dtype"] == "str" else False if row["dtype"] == "bool" else 0
    for size in reversed(shape):
        value = [value] * size
    return value
