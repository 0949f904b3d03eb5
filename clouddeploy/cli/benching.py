"""bench: put a load on a server and tell how long its answers took."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.cli.predicting import read_input
from clouddeploy.cli.session import UsageError
from clouddeploy.errors import CloudError, SpecError

if TYPE_CHECKING:
    from clouddeploy.bench import BenchResult, Load
    from clouddeploy.cli.session import Session

UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
FIELD = re.compile(r"Load\.([a-z_]+)(?= is )")
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


def bench(args: Namespace, session: Session) -> int:
    """Send the load, print the figures; with ``--plot`` draw them too."""
    from clouddeploy.bench import measure
    from clouddeploy.bench.result import check_drawable

    if args.plot:
        check_drawable(Path(args.plot))
        _check_folder(args.plot, session)
    load = wanted(args, session)
    with session.terminal.progress() as progress, progress.activity(f"{load.url}: {load}"):
        found = measure(load)
    if args.json:
        session.terminal.json(found.as_dict())
    else:
        session.terminal.data(str(found))
    if args.plot:
        _draw(found, args.plot, session)
    _check_some(found)
    return 0


def _check_folder(plot: str, session: Session) -> None:
    folder = (session.folder / plot).parent
    if not folder.is_dir():
        raise UsageError(
            f"--plot {plot!r} can't be written",
            why=f"there is no folder {str(folder)!r}",
            fix="make it first",
        )


def _draw(found: BenchResult, plot: str, session: Session) -> None:
    try:
        found.save(session.folder / plot)
    except OSError as error:
        raise UsageError(
            f"--plot {plot!r} can't be written",
            why=error.strerror or str(error),
            fix="the figures are above; name another file next time",
        ) from error
    session.terminal.say(f"drawn in {plot}")


def _check_some(found: BenchResult) -> None:
    if found.errors and found.errors == found.sent:
        raise CloudError(
            f"none of {found.sent:,} requests was answered well",
            why=", ".join([*map(str, found.statuses), *found.failures]),
            fix="see the server's log",
        )
    if found.gone:
        raise CloudError(
            f"{found.load.url} went away while it was measured", why=found.gone, fix="see the server's log"
        )


def wanted(args: Namespace, session: Session) -> Load:
    """The load that the flags ask for.

    Raises:
        SpecError: a flag's value is wrong, or it isn't known what to send.
    """
    from clouddeploy.bench import Load
    from clouddeploy.client.address import Address

    if args.rate is None and not args.closed:
        raise UsageError(
            "neither --rate nor --closed is given",
            why="--rate N sends so many requests a second; --closed sends the next one after each answer",
            fix="add --rate 100",
        )
    if args.closed and args.poisson:
        raise UsageError(
            "--closed and --poisson don't go together",
            why="a closed loop sends when an answer has come, not by chance",
            fix="leave one away",
        )
    base = str(Address.of(args.url.partition("?")[0]))
    url = args.url if _has_path(args.url) else base + "/predict"
    headers = _headers(args)
    body = b""
    method = args.method or "POST"
    if method in ("GET", "HEAD"):
        _check_bodiless(args, method)
    else:
        body, kind = _body(args, session, url, headers)
        headers.setdefault("content-type", kind)
    with _by_flags():
        return Load(
            url=url,
            rate=args.rate,
            duration_s=seconds(args.duration, "--duration"),
            warm_up_s=seconds(args.warm_up, "--warm-up"),
            connections=args.connections,
            arrivals="poisson" if args.poisson else "constant",
            method=method,
            headers=headers,
            body=body,
            timeout_s=seconds(args.timeout, "--timeout"),
            seed=args.seed,
        )


@contextmanager
def _by_flags() -> Iterator[None]:
    """Call what is wrong with a load by the flag that gave it."""
    try:
        yield
    except SpecError as error:
        found = FIELD.match(error.what)
        if found is None:
            raise
        flag = "--" + found[1].removesuffix("_s").replace("_", "-")
        what, fix = flag + error.what[found.end() :], error.fix.replace(f"give {found[1]} ", f"give {flag} ")
        raise UsageError(what, why=error.why, fix=fix) from error


def _check_bodiless(args: Namespace, method: str) -> None:
    flag = "--input" if args.input else "--body" if args.body else ""
    if flag:
        raise UsageError(
            f"{flag} is given, but a {method} request has no body", fix=f"leave away {flag}, or --method"
        )


def _has_path(url: str) -> bool:
    return bool(url.partition("://")[2].partition("/")[2])


def _headers(args: Namespace) -> dict[str, str]:
    from clouddeploy.client.address import check_header

    found = {}
    for text in args.header or ():
        name, colon, value = text.partition(":")
        if not colon:
            raise UsageError(
                f"--header {text!r} has no colon", fix="write it like --header 'X-API-Key: secret'"
            )
        check_header(name.strip(), value.strip())
        found[name.strip().lower()] = value.strip()
    return found


def _body(args: Namespace, session: Session, url: str, headers: dict[str, str]) -> tuple[bytes, str]:
    if args.input:
        return read_input(args.input, session)
    if args.body:
        try:
            return (session.folder / args.body).read_bytes(), "application/json"
        except OSError as error:
            raise UsageError(
                f"--body {args.body!r} can't be read",
                why=error.strerror or str(error),
                fix="correct the path",
            ) from error
    from clouddeploy.bench.bodies import example

    scheme, _, rest = url.partition("?")[0].partition("://")
    authority, _, path = rest.partition("/")
    return example(f"{scheme}://{authority}", f"/{path}", headers), "application/json"


def seconds(text: str, flag: str) -> float:
    """``300ms``, ``30s``, ``2m`` or ``1h`` as seconds.

    Raises:
        UsageError: it is none of these.
    """
    match = DURATION.fullmatch(text)
    if match is None:
        meant = f"{text}s" if text.isdecimal() else "30s"
        raise UsageError(
            f"{flag} is {text!r}", why="allowed: 300ms, 30s, 2m, 1h", fix=f"write {flag} {meant}"
        )
    return float(match[1]) * UNITS_S[match[2]]
