"""predict: the bytes of a file go to the endpoint, the bytes of its answer come back."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from clouddeploy.cli.session import UsageError

if TYPE_CHECKING:
    from clouddeploy.cli.session import Session

JSON, NPY, CSV = "application/json", "application/x-npy", "text/csv"
MEDIA = {".json": JSON, ".npy": NPY, ".csv": CSV}


def predict(args: Namespace, session: Session) -> int:
    """Send the input, write the answer to stdout or to ``--output``."""
    accept = _media(args.output) if args.output else JSON
    if args.output and not (session.folder / args.output).parent.is_dir():
        folder = str((session.folder / args.output).parent)
        raise _unwritten(args.output, f"there is no folder {folder!r}")
    body, content_type = read_input(args.input, session)
    with session.terminal.progress() as progress:
        deployer = session.deployer(args, session.config_here(), progress)
        with progress.activity(f"predicting {len(body):,} bytes of {content_type}"):
            endpoint = deployer.endpoint(args.name)
            reply = endpoint.predict_raw(body, content_type=content_type, accept=accept)
    if not args.output:
        session.terminal.data(reply.body.decode("utf-8"))
        return 0
    path = session.folder / args.output
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(reply.body)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _unwritten(args.output, error.strerror or str(error)) from error
    if args.json:
        session.terminal.json(
            {"path": args.output, "bytes": len(reply.body), "content_type": reply.content_type}
        )
    else:
        session.terminal.say(f"wrote {len(reply.body):,} bytes to {args.output}")
    return 0


def _unwritten(given: str, why: str) -> UsageError:
    return UsageError(f"--output {given!r} can't be written", why=why, fix="name a file that can be written")


def read_input(given: str, session: Session) -> tuple[bytes, str]:
    """The bytes to send and their media type.

    A JSON list becomes the batch of a request, ``{"inputs": [...]}``; everything else goes as it is.

    Raises:
        UsageError: the file isn't there, is empty, or is of no kind that an endpoint takes.
    """
    if given == "-":
        body = cast(BinaryIO, getattr(session.terminal.stdin, "buffer", sys.stdin.buffer)).read()
        content_type = sniff(body)
    else:
        content_type = _media(given)
        try:
            body = (session.folder / given).read_bytes()
        except OSError as error:
            raise UsageError(
                f"--input {given!r} can't be read", why=error.strerror or str(error), fix="correct the path"
            ) from error
    if not body.strip():
        raise UsageError(f"--input {given!r} is empty", fix='give inputs, such as {"inputs": [[1.0, 2.0]]}')
    if content_type == JSON and body.lstrip()[:1] == b"[":
        body = b'{"inputs":' + body.strip() + b"}"
    return body, content_type


def sniff(body: bytes) -> str:
    """The media type of what came through a pipe, by its first bytes."""
    if body.startswith(b"\x93NUMPY"):
        return NPY
    return JSON if body.lstrip()[:1] in (b"{", b"[") else CSV


def _media(name: str) -> str:
    ending = Path(name).suffix.lower()
    if ending not in MEDIA:
        raise UsageError(
            f"{name!r} ends in {ending!r}" if ending else f"{name!r} has no ending",
            why=f"allowed: {', '.join(MEDIA)}",
            fix="rename it, or convert it",
        )
    return MEDIA[ending]
