"""What a run found, for people, programs and notebooks."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clouddeploy.bench.histogram import ERROR, Histogram
from clouddeploy.bench.load import Load
from clouddeploy.bench.record import Record, Second
from clouddeploy.errors import SpecError

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
LATE_S = 0.001
BUSY = 0.9
SHORT = 0.97


@dataclass(frozen=True)
class BenchResult:
    """What a run found.

    Args:
        load: what was sent.
        seconds: that were measured.
        answered: answers with a status below 400 a second, those that came while it was measured.
        latency: of answers below 400, from when the request was due.
        refusals: latency of answers of 400 and more.
        statuses: answers by status.
        failures: requests without an answer, by what happened.
        lag: how late the generator attended to requests that were due.
        busy: share of one core that the generator used.
        queued: requests that were due while every connection was busy.
        course: second by second.
        gone: why the server couldn't be reached any more at the end; empty when it could.
        warnings: why the figures may not be the server's.
    """

    load: Load
    seconds: float
    answered: float
    latency: Histogram
    refusals: Histogram
    statuses: Mapping[int, int]
    failures: Mapping[str, int]
    lag: Histogram
    busy: float
    queued: int
    course: Mapping[int, Second]
    gone: str
    warnings: tuple[str, ...]

    @property
    def sent(self) -> int:
        """Requests that were due while it was measured."""
        return sum(self.statuses.values()) + sum(self.failures.values())

    @property
    def errors(self) -> int:
        """Of them those that failed or were refused."""
        return sum(self.failures.values()) + sum(n for status, n in self.statuses.items() if status >= 400)

    def quantile_ms(self, share: float) -> float:
        """Milliseconds that `share` of the good answers don't exceed."""
        return self.latency.quantile(share) * 1e3

    def as_dict(self) -> dict[str, Any]:
        """The result as the command line's ``--json`` prints it; null where nothing was measured."""
        load = self.load
        return {
            "url": load.url,
            "loop": "closed" if load.rate is None else "open",
            "rate": load.rate,
            "arrivals": load.arrivals,
            "connections": load.connections,
            "seconds": round(self.seconds, 3),
            "requests": self.sent,
            "errors": self.errors,
            "answers_per_s": round(self.answered, 2),
            "latency_ms": _milliseconds(self.latency),
            "refusal_latency_ms": _milliseconds(self.refusals),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "failures": dict(self.failures),
            "queued": self.queued,
            "generator": {"lag_p99_ms": _rounded(self.lag.quantile(0.99)), "busy": round(self.busy, 3)},
            "quantile_error": ERROR,
            "warnings": list(self.warnings),
        }

    def rows(self) -> list[tuple[str, str]]:
        """The result as lines of two columns."""
        found = [
            ("load", f"{self.load}"),
            ("answers", f"{self.answered:,.1f}/s, {self.sent:,} requests" + _counts(self.statuses)),
            ("latency", _spread(self.latency)),
        ]
        if self.refusals.count:
            found.append(("refusals", _spread(self.refusals)))
        if self.failures:
            found.append(("failures", ", ".join(f"{what}: {n:,}" for what, n in self.failures.items())))
        lag = f"late by {_ms(self.lag.quantile(0.99))} at p99, " if self.lag.count else ""
        found.append(("generator", f"{lag}{self.busy:.0%} of one core"))
        return found + [("warning", text) for text in self.warnings]

    def __str__(self) -> str:
        return "\n".join([self.load.url, *(f"  {name:<10}{text}" for name, text in self.rows())])

    def svg(self) -> str:
        """A drawing: latency by share of requests, and its course over time."""
        from clouddeploy.bench.drawing import draw

        return draw(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the drawing as ``.svg``, or as ``.png`` when cairosvg is installed.

        Raises:
            SpecError: another ending, or cairosvg is missing.
        """
        target = Path(path)
        if target.suffix == ".svg":
            target.write_text(self.svg(), "utf-8")
            return target
        check_drawable(target)
        drawing = import_module("cairosvg")
        drawing.svg2png(self.svg().replace("currentColor", "#333"), write_to=str(target), scale=2,
                         background_color="white")  # fmt: skip
        return target

    def _repr_html_(self) -> str:
        cell = "padding:2px 12px 2px 0;text-align:left;vertical-align:top;border:0;background:transparent"
        rows = "".join(
            f'<tr><th style="{cell}">{name}</th><td style="{cell}">{html.escape(text)}</td></tr>'
            for name, text in self.rows()
        )
        title = f'<div style="font-weight:600">{html.escape(self.load.url)}</div>'
        table = f'<table style="border-collapse:collapse;color:inherit">{rows}</table>'
        return f'<div style="color:inherit">{title}{table}{self.svg()}</div>'


def check_drawable(path: Path) -> None:
    """Refuse, before anything is measured, a file that couldn't be drawn.

    Raises:
        SpecError: see `BenchResult.save`.
    """
    if path.suffix not in (".svg", ".png"):
        raise SpecError(f"{str(path)!r} is no drawing's name", why="allowed: .svg, .png", fix="rename it")
    if path.suffix == ".png" and find_spec("cairosvg") is None:
        raise SpecError(
            f"{str(path)!r} can't be drawn",
            why="cairosvg isn't installed",
            fix="write an .svg, or pip install cairosvg",
        )


def result(load: Load, record: Record, seconds: float, busy: float) -> BenchResult:
    """The result of a run that has ended."""
    answered = record.in_time / seconds if seconds > 0 else 0.0
    return BenchResult(
        load=load,
        seconds=seconds,
        answered=answered,
        latency=record.latency,
        refusals=record.refusals,
        statuses=dict(record.statuses),
        failures=dict(record.failures),
        lag=record.lag,
        busy=busy,
        queued=record.queued,
        course=record.seconds,
        gone=record.gone,
        warnings=tuple(_warnings(load, record, seconds, busy, answered)),
    )


def _warnings(load: Load, record: Record, seconds: float, busy: float, answered: float) -> list[str]:
    found = []
    lag_s = record.lag.quantile(0.99)
    if seconds < load.duration_s * 0.99:
        found.append(f"it was stopped after {seconds:.1f} of {load.duration_s:g} s")
    if load.rate is not None and record.lag.count and lag_s > max(LATE_S, record.latency.quantile(0.5) / 2):
        found.append(
            f"the generator itself was late by {_ms(lag_s)} at p99: its process, or this machine, is at its "
            "limit, and the latencies hold that too"
        )
    elif busy > BUSY:
        found.append(
            f"the generator used {busy:.0%} of one core: the figures may be its own limit, not the server's"
        )
    if record.gone:
        return [*found, f"the server can't be reached any more: {record.gone}"]
    due = sum(record.statuses.values()) + sum(record.failures.values())
    if load.rate is not None and record.queued > due * (1 - SHORT):
        found.append(
            f"{record.queued:,} of {due:,} requests waited for a connection: the server doesn't keep up with "
            f"{load.rate:g}/s, or {load.connections} connections are too few"
        )
    if load.rate is not None and not record.queued and answered < SHORT * due / max(seconds, 1e-9):
        found.append("the server answered fewer requests in time, or without an error, than were due")
    return found


def _milliseconds(histogram: Histogram) -> dict[str, float | None]:
    found = {name: _rounded(histogram.quantile(share)) for name, share in QUANTILES.items()}
    worst = histogram.high_s if histogram.count else math.nan
    return {**found, "max": _rounded(worst), "mean": _rounded(histogram.mean_s)}


def _rounded(seconds: float) -> float | None:
    return None if math.isnan(seconds) else round(seconds * 1e3, 4)


def _ms(seconds: float) -> str:
    value = seconds * 1e3
    if math.isnan(value):
        return "none"
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def _spread(histogram: Histogram) -> str:
    if not histogram.count:
        return "none"
    parts = [f"{name} {_ms(histogram.quantile(share))}" for name, share in QUANTILES.items()]
    return "  ".join([*parts, f"max {_ms(histogram.high_s)}"])


def _counts(statuses: Mapping[int, int]) -> str:
    shown = ", ".join(f"{status}: {n:,}" for status, n in sorted(statuses.items()))
    return f" ({shown})" if shown else ""
