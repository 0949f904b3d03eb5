"""The commands and their flags, as the standard library's argparse reads them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from clouddeploy.cli.bench_flags import add_bench
from clouddeploy.cli.session import UsageError
from clouddeploy.spec import suggest

COMMANDS = {
    "plan": "show what deploy would do; change nothing",
    "deploy": "create or update what clouddeploy.toml describes",
    "package": "write the artifact that deploy would upload",
    "serve": "serve a model on this machine until Ctrl-C",
    "predict": "send inputs to what runs, print the predictions",
    "status": "tell how a deployment stands",
    "logs": "print a deployment's last log lines",
    "list": "list the deployments on a target",
    "rollback": "serve a kept release again",
    "traffic": "show or change which release gets which share of the requests",
    "scale": "change how many copies run",
    "delete": "remove everything that belongs to a deployment",
    "bench": "put a load on a server, tell how long its answers took",
    "emulator": "start, stop or show the embedded cloud",
    "schema": "print the JSON schema of clouddeploy.toml",
    "version": "print the version",
}
EPILOG = """\
exit codes: 0 done, 2 mend the request, 3 credentials, 4 target, 5 not found, 6 name taken, 7 locked,
8 the cloud failed, 9 timeout, 10 failed and undone, 11 left behind, 130 Ctrl-C; plan: 20 changes.
Set CLOUDDEPLOY_DEBUG=1 to see the trace of an error.
"""
EMULATOR = {
    "start": "start it",
    "stop": "stop it",
    "status": "tell whether it runs, and where",
    "env": 'print the variables that point other tools at it: eval "$(clouddeploy emulator env)"',
}


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of exiting, and suggests the nearest flag."""

    def error(self, message: str) -> NoReturn:
        """Raise `message` as a `UsageError`."""
        raise UsageError(message, fix=f"see `{self.prog} --help`")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line.

    Raises:
        UsageError: a command or flag is unknown, lacks its value, or is missing.
    """
    top, commands = _build()
    first = next((word for word in argv if not word.startswith("-")), None)
    if first is not None and first not in COMMANDS:
        raise UsageError(
            f"no command {first!r}{suggest(first, COMMANDS)}",
            why=f"commands: {', '.join(COMMANDS)}",
            fix="see `clouddeploy --help`",
        )
    if first == "emulator":
        _check_emulator_action(argv)
    args, unknown = top.parse_known_args(list(argv))
    if unknown:
        parser = commands.get(args.command or "", top)
        flags = [flag for action in parser._actions for flag in action.option_strings]
        raise UsageError(
            f"{parser.prog} doesn't take {unknown[0]!r}{suggest(unknown[0].partition('=')[0], flags)}",
            fix=f"see `{parser.prog} --help`",
        )
    return args


def _check_emulator_action(argv: Sequence[str]) -> None:
    word = next((w for w in argv[argv.index("emulator") + 1 :] if not w.startswith("-")), None)
    if word is not None and word not in EMULATOR:
        raise UsageError(
            f"no command 'emulator {word}'{suggest(word, EMULATOR)}",
            why=f"commands: {', '.join(EMULATOR)}",
            fix="see `clouddeploy emulator --help`",
        )


def help_text() -> str:
    """What ``clouddeploy --help`` prints."""
    return _build()[0].format_help()


def _build() -> tuple[Parser, dict[str, Parser]]:
    top = Parser(
        prog="clouddeploy",
        description="Deploy machine-learning models to a cloud, or to the embedded one on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    group = top.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    commands = {
        name: group.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False
        )
        for name, text in COMMANDS.items()
    }
    for name, parser in commands.items():
        parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        if name not in ("bench", "serve", "emulator", "schema", "version"):
            _add_target(parser)
    _add_folder_commands(commands)
    _add_named_commands(commands)
    add_bench(commands["bench"])
    _add_serve(commands["serve"])
    commands["emulator"].add_argument(
        "action",
        choices=list(EMULATOR),
        metavar="|".join(EMULATOR),
        help="; ".join(f"{k}: {v}" for k, v in EMULATOR.items()),
    )
    return top, commands


def _add_target(parser: Parser) -> None:
    parser.add_argument("--target", help="where to: sagemaker, or another target that is installed")
    parser.add_argument("--emulated", action="store_true", help="use the embedded cloud on this machine")
    parser.add_argument("--region", help="the cloud's region")
    parser.add_argument("--profile", help="profile of the cloud's credentials (AWS)")
    parser.add_argument("--project", help="the project (Google Cloud)")


def _add_folder_commands(commands: dict[str, Parser]) -> None:
    for name in ("plan", "deploy", "package"):
        commands[name].add_argument(
            "folder", nargs="?", metavar="DIR", help="holds clouddeploy.toml (default: this folder)"
        )
    for name in ("plan", "deploy"):
        commands[name].add_argument(
            "--strict", action="store_true", help="fail on what the target can't do, instead of telling it"
        )
    commands["package"].add_argument(
        "--out", metavar="PATH", required=True, help="file to write, or folder: made/"
    )


def _add_named_commands(commands: dict[str, Parser]) -> None:
    for name in ("predict", "status", "logs", "rollback", "traffic", "scale", "delete"):
        commands[name].add_argument("name", metavar="NAME", help="the deployment")
    predict, logs = commands["predict"], commands["logs"]
    predict.add_argument(
        "--input", required=True, metavar="FILE", help="inputs: .json, .npy or .csv; - reads standard input"
    )
    predict.add_argument("--output", metavar="FILE", help="write the predictions there: .json, .npy or .csv")
    logs.add_argument("--since", default="1h", help="how far back: 90s, 15m, 1h, 2d (default: 1h)")
    logs.add_argument(
        "--limit", type=int, default=100, metavar="N", help="at most so many lines (default: 100)"
    )
    logs.add_argument("--follow", action="store_true", help="go on printing new lines until Ctrl-C")
    commands["rollback"].add_argument("--to", metavar="RELEASE", help="the release (default: the one before)")
    commands["traffic"].add_argument(
        "shares", nargs="*", metavar="RELEASE=PERCENT", help="new shares; without any, show those that are"
    )
    _add_policy(commands["scale"])
    for name in ("deploy", "rollback", "traffic", "scale", "delete"):
        commands[name].add_argument("--yes", action="store_true", help="don't ask")


def _add_policy(parser: Parser) -> None:
    parser.add_argument("--min", type=int, default=1, metavar="N", help="copies that always run (default: 1)")
    parser.add_argument("--max", type=int, metavar="N", help="copies at the most (default: as --min)")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--requests-per-minute", type=float, metavar="N", help="hold so many per copy")
    target.add_argument("--concurrency", type=float, metavar="N", help="hold so many in progress per copy")
    target.add_argument("--cpu", type=float, metavar="SHARE", help="hold this processor load, 0.01 to 1")
    target.add_argument(
        "--utilization", type=float, metavar="SHARE", help="hold this use of provisioned capacity, 0.1 to 0.9"
    )


def _add_serve(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "model",
        nargs="?",
        metavar="MODEL",
        help="weights (.pt2, .pt, .safetensors, .onnx), the folder of a packaged model or of many, or one "
        "with a clouddeploy.toml (default: this folder)",
    )
    add("--models", metavar="DIR", help="serve every <model>/<version>/ in it, and what appears there later")
    add("--handler", metavar="FILE", help="your inference code, for weights or a folder of files")
    add("--source", metavar="FILE:CLASS", help="the class that weights without a program belong to")
    add("--allow-pickle", action="store_true", help="accept a pickled module, which executes code")
    add("--name", help="the model's name in paths (default: model)")
    add("--versions", metavar="POLICY", help="latest, latest:N, all or 1,3 (default: latest)")
    add("--host", help="address to listen on (default: 127.0.0.1)")
    add("--port", type=int, metavar="N", help="0 takes a free one (default: 8080)")
    add("--workers", type=int, metavar="N", help="processes (default: 1)")
    add("--threads", type=int, metavar="N", help="threads of a prediction (default: cores / workers)")
    add("--max-batch", type=int, metavar="N", help="examples in a batch at the most (default: 32)")
    add("--max-delay", metavar="TIME", help="how long an idle model waits for more: 2ms (default: 0)")
    add("--queue", type=int, metavar="N", help="examples that may wait in a worker (default: 512)")
    add("--drain", metavar="TIME", help="how long requests get to finish at the end (default: 30s)")
    add("--state", metavar="FILE", help="keeps weights, labels and shadows over a restart")
    add("--admin-token", metavar="FILE", help="holds the token that opens /v1/admin")
    add("--access-log", action="store_true", default=None, help="write a line for each request")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting of the server")
