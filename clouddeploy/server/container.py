"""``python -m clouddeploy.server.container serve``: the server in a container, wherever that runs.

The port is what the platform says: ``PORT`` (Cloud Run documentation, "Container runtime contract"), else
``SAGEMAKER_BIND_TO_PORT`` or 8080. It opens when the model is ready, as Cloud Run looks at nothing else. The
model is the image's own, unless there is one in ``/opt/ml/model`` (Amazon SageMaker Developer Guide, "Use
Your Own Inference Code with Hosting Services"). Everything else is told by variables such as
``CLOUDDEPLOY_SERVE_MAX_BATCH=16``, of which those without a word here have the server's own defaults.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clouddeploy.errors import CloudDeployError, SpecError
from clouddeploy.server import cores
from clouddeploy.server.main import from_environment, serve
from clouddeploy.server.settings import ServerSettings

MOUNTED = Path("/opt/ml/model")
"""Where SageMaker lays a model (Developer Guide, as above)."""
HELD = Path(__file__).resolve().parents[2] / "model"
"""The model of the image, beside the server."""
MANIFEST = "clouddeploy.json"
PORTS = ("PORT", "SAGEMAKER_BIND_TO_PORT")
DRAIN_S = 8.0
"""Cloud Run and ``docker stop`` kill ten seconds after they asked to stop."""
WORD = "serve"


def settings_of(environ: Mapping[str, str]) -> ServerSettings:
    """How the server behaves in a container with these environment variables.

    Nobody knows here who can reach it, so there are neither ``/metrics`` nor ``/dashboard`` unless asked for.

    Raises:
        SpecError: one holds no value of its kind.
    """
    found: dict[str, Any] = {
        "host": "0.0.0.0",
        "port": _port(environ),
        "open_when_ready": True,
        "models": MOUNTED if (MOUNTED / MANIFEST).is_file() else HELD,
        "workers": cores.whole(cores.usable()),
        "drain_s": DRAIN_S,
        "metrics": False,
        "dashboard": False,
    }
    return ServerSettings().changed({**found, **from_environment(environ)})


def _port(environ: Mapping[str, str]) -> int:
    name = next((name for name in PORTS if environ.get(name)), None)
    if name is None:
        return ServerSettings().port
    text = environ[name]
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 16):
        raise SpecError(
            f"the environment variable {name} is {text!r}",
            why="it must be a port, from 1 to 65535",
            fix="correct or unset it",
        )
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        if arguments not in ([], [WORD]):
            raise SpecError(
                f"the container was started with {' '.join(arguments)!r}",
                why=f"it does one thing: {WORD}",
                fix=f"start it with {WORD}, or with nothing",
            )
        return serve(settings_of(os.environ), lambda url: logging.info("serving at %s", url))
    except CloudDeployError as error:
        logging.error("error: %s", error)
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
