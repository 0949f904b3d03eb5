"""What the environment variables of a function say; read once, while it is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clouddeploy.runtime.errors import LoadError
from clouddeploy.runtime.function.settings import CORS_ORIGINS, origins_of

THREADS = "CLOUDDEPLOY_THREADS"
RELEASE = "CLOUDDEPLOY_RELEASE"
OUTPUT = "CLOUDDEPLOY_OUTPUT"
PROJECT = "GOOGLE_CLOUD_PROJECT"
TIMEOUT = "CLOUD_RUN_TIMEOUT_SECONDS"
_OUTPUT = re.compile(r"gs://([a-z0-9][-_.a-z0-9]{1,220})(?:/(.*))?")


@dataclass(frozen=True)
class Output:
    """Where predictions of events go: a bucket, and what their names begin with."""

    bucket: str
    prefix: str


@dataclass(frozen=True)
class Settings:
    """How the function answers.

    Args:
        cors_origins: origins whose pages may call it, as a browser sends them; ``*`` is every one.
        output: where predictions of events go; None puts those of an object beside it, and no others.
        project: the project's id; empty where unknown.
        release: which release this is; empty where unknown.
        timeout_s: when the platform ends a request, which functions-framework is told too; 0 where unknown.
        threads: threads of one prediction.
    """

    cors_origins: tuple[str, ...] = ()
    output: Output | None = None
    project: str = ""
    release: str = ""
    timeout_s: float = 0.0
    threads: int = 1

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in `environ`.

        Raises:
            LoadError: a value can't be understood.
        """
        return cls(
            origins_of(environ.get(CORS_ORIGINS, "")),
            _output(environ.get(OUTPUT, "")),
            environ.get(PROJECT, ""),
            environ.get(RELEASE, ""),
            float(_whole(environ, TIMEOUT, 0)),
            max(1, _whole(environ, THREADS, 1)),
        )


def _output(text: str) -> Output | None:
    if not text:
        return None
    found = _OUTPUT.fullmatch(text)
    if not found:
        raise LoadError(f"the environment variable {OUTPUT} is {text!r}; expected gs://bucket/prefix")
    return Output(found[1], found[2] or "")


def _whole(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal():
        raise LoadError(f"the environment variable {name} is {text!r}, no whole number")
    return int(text)
