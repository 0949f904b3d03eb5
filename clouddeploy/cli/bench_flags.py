"""The flags of ``clouddeploy bench``."""

from __future__ import annotations

from argparse import ArgumentParser


def add_bench(parser: ArgumentParser) -> None:
    """Add them to the command's parser."""
    add = parser.add_argument
    add("url", metavar="URL", help="what is asked; without a path, its /predict")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=float, metavar="N", help="requests a second, whatever the server does")
    pace.add_argument("--closed", action="store_true", help="send the next request after each answer")
    add("--poisson", action="store_true", help="let requests come by chance instead of evenly")
    add("--seed", type=int, default=0, metavar="N", help="of chance (default: 0)")
    add("--duration", default="10s", metavar="TIME", help="300ms, 30s, 2m, 1h (default: 10s)")
    add("--warm-up", default="1s", metavar="TIME", help="the same load before, not counted (default: 1s)")
    add("--timeout", default="10s", metavar="TIME", help="a later answer has failed (default: 10s)")
    add("--connections", type=int, default=32, metavar="N", help="at the most (default: 32)")
    add("--method", metavar="METHOD", help="of HTTP (default: POST)")
    add("--header", action="append", metavar="'NAME: VALUE'", help="sent with every request; may be repeated")
    body = parser.add_mutually_exclusive_group()
    body.add_argument("--input", metavar="FILE", help="inputs, as for predict: .json, .npy or .csv")
    body.add_argument("--body", metavar="FILE", help="bytes that are sent as they are, as JSON")
    add("--plot", metavar="FILE", help="draw the result: .svg, or .png when cairosvg is installed")
