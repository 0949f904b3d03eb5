"""What the environment variables of a function say; read once, at init."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clouddeploy.runtime.decode import JSON, media_type
from clouddeploy.runtime.errors import LoadError, WireError

CORS_ORIGINS = "CLOUDDEPLOY_CORS_ORIGINS"
METRICS = "CLOUDDEPLOY_METRICS"
RECORD_TYPE = "CLOUDDEPLOY_RECORD_CONTENT_TYPE"
FUNCTION_NAME = "AWS_LAMBDA_FUNCTION_NAME"

_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/\s,?#]+")


@dataclass(frozen=True)
class Settings:
    """How the function answers.

    Args:
        cors_origins: origins whose pages may call it, as a browser sends them; ``*`` is every one.
        metrics: whether each request's log line carries metrics for CloudWatch; None is only those of
            requests that were refused or failed.
        record_type: media type of a queue's or stream's record that names none itself.
        function: the function's name.
    """

    cors_origins: tuple[str, ...] = ()
    metrics: bool | None = None
    record_type: str = JSON
    function: str = ""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in `environ`.

        Raises:
            LoadError: a value can't be understood.
        """
        return cls(
            origins_of(environ.get(CORS_ORIGINS, "")),
            _switch(environ, METRICS),
            _record_type(environ.get(RECORD_TYPE, "")),
            environ.get(FUNCTION_NAME, ""),
        )


def origins_of(text: str) -> tuple[str, ...]:
    """The origins in the variable `CORS_ORIGINS`, which has commas between them.

    Raises:
        LoadError: one of them is none.
    """
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise LoadError(f"{CORS_ORIGINS} holds {origin!r}; expected such as https://app.example.com")
    return origins


def _switch(environ: Mapping[str, str], name: str) -> bool | None:
    word = environ.get(name, "").strip().lower()
    if word not in ("", "on", "off", "1", "0", "true", "false"):
        raise LoadError(f"the environment variable {name} is {word!r}; expected on or off")
    return word in ("on", "1", "true") if word else None


def _record_type(text: str) -> str:
    try:
        return media_type(text)
    except WireError as error:
        raise LoadError(f"the environment variable {RECORD_TYPE}: {error.message}; {error.fix}") from error
