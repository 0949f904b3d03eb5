"""Start a server: from the command line, from a container's environment, or as another program's child."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from clouddeploy.errors import CloudDeployError, NotFound, SpecError, TargetError
from clouddeploy.server.settings import ServerSettings

PREFIX = "CLOUDDEPLOY_SERVE_"
NOT_SETTINGS = ("CLOUDDEPLOY_SERVE_ADMIN_TOKEN",)
"""Variables of that prefix that hold secrets and are read where they are used."""
NEEDED = ("httptools", "uvloop", "msgspec", "orjson", "numpy")
ASKING = ("api_keys", "jwt_keys", "open_paths")
CERTIFIED = ("tls_certificate", "tls_key", "tls_client_ca")
"""Settings whose checks load what a supervisor that has none of them can do without: 20 MB."""
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def check_installed() -> None:
    """Refuse to start without the libraries that the server is made of.

    Raises:
        TargetError: one is missing.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise TargetError(
            f"the model server needs {', '.join(missing)}",
            why="not installed here",
            fix="pip install 'clouddeploy[serve]'",
        )


def parse_setting(name: str, text: str) -> Any:
    """The value of the setting `name` in `text`, as environment variables and flags have it.

    Raises:
        SpecError: there is no such setting, or the text is no value of its kind.
    """
    kinds = {field.name: str(field.type) for field in fields(ServerSettings)}
    if name not in kinds:
        raise SpecError(
            f"the server has no setting {name!r}", why=f"settings: {', '.join(kinds)}", fix="correct the name"
        )
    kind = kinds[name]
    try:
        if kind == "bool":
            return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}[text.strip().lower()]
        return {"int": int, "float": float, "Path": Path}.get(kind, str)(text)
    except (ValueError, KeyError) as error:
        words = {"bool": "true or false", "int": "a whole number", "float": "a number"}
        raise SpecError(
            f"the setting {name} is {text!r}", why=f"allowed: {words.get(kind, kind)}", fix="correct it"
        ) from error


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Settings from variables such as ``CLOUDDEPLOY_SERVE_MAX_BATCH=16``.

    Raises:
        SpecError: one is unknown or holds no value of its kind.
    """
    names = [name for name in environ if name.startswith(PREFIX) and name not in NOT_SETTINGS]
    return {
        name.removeprefix(PREFIX).lower(): parse_setting(name.removeprefix(PREFIX).lower(), environ[name])
        for name in names
    }


def check_protection(settings: ServerSettings) -> None:
    """See that certificates, keys and what else protects the server can be used, before a worker starts.

    Raises:
        SpecError: something can't.
        TargetError: a library is missing.
    """
    unprotected = ServerSettings()
    if any(getattr(settings, name) != getattr(unprotected, name) for name in ASKING):
        from clouddeploy.server.guards import access

        access.verifiers_of(settings)
    if any(getattr(settings, name).name for name in CERTIFIED):
        from clouddeploy.server import tls

        if tls.on(settings):
            tls.context_of(settings)
            tls.tell_validity(settings)


def serve(settings: ServerSettings, on_ready: Callable[[str], None] | None = None) -> int:
    """Serve until a signal ends it; the exit code.

    Args:
        settings: how to behave.
        on_ready: called with the URL when every worker is ready.

    Raises:
        NotFound: the models' folder isn't there.
        SpecError: the address can't be listened on, or the model can't be loaded.
        TargetError: a library is missing.
        CloudDeployError: no worker could start.
    """
    from clouddeploy.server.models.policy import Policy
    from clouddeploy.server.supervisor import Supervisor

    check_installed()
    Policy.parse(settings.versions)
    check_protection(settings)
    if settings.models.name and not settings.models.is_dir():
        raise NotFound(f"there is no folder {str(settings.models)!r}", fix="name the folder of a model")
    return Supervisor(settings, on_ready).run()


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m clouddeploy.server FOLDER``; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m clouddeploy.server", description=__doc__)
    parser.add_argument("models", nargs="?", help="folder of one model, or of many as <model>/<version>/")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        values = from_environment(os.environ)
        for text in arguments.set:
            name, _, value = text.partition("=")
            values[name] = parse_setting(name, value)
        if arguments.models:
            values["models"] = Path(arguments.models)
        return serve(ServerSettings().changed(values), lambda url: logging.info("serving at %s", url))
    except CloudDeployError as error:
        logging.error("error: %s", error)
        return error.exit_code
