"""A run as one SVG: no script, no style sheet, no font of its own; reads on light and on dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clouddeploy.bench.histogram import Histogram
    from clouddeploy.bench.result import BenchResult

WIDTH, HEIGHT = 880, 300
PANEL = (360, 190)
LEFT, RIGHT, TOP = 60, 500, 60
BLUE, ORANGE, RED = "#3b82c4", "#d08a2e", "#d64545"
SHARES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
POINTS = 400


def draw(result: BenchResult) -> str:
    """The drawing of a result."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        'style="max-width:100%;color:inherit" font-family="system-ui,sans-serif" font-size="11" '
        'fill="currentColor" role="img">',
        f"<title>{escape(result.load.url)}: latency</title>",
        _text(LEFT, 18, f"{result.load.url}: {result.load}", weight=600),
        *_by_share(result.latency),
        *_over_time(result),
        "</svg>",
    ]
    return "".join(parts)


def _by_share(latency: Histogram) -> Iterable[str]:
    yield _text(LEFT, TOP - 14, "latency by share of the answers")
    if not latency.count:
        yield _text(LEFT + 10, TOP + 30, "no answers")
        return
    last = max(1, min(len(SHARES) - 1, math.ceil(math.log10(latency.count))))
    scale = _Scale(latency.low_s, latency.high_s)
    yield from _axis(LEFT, scale)
    for index in range(last + 1):
        x = LEFT + PANEL[0] * index / last
        yield _line(x, TOP, x, TOP + PANEL[1], faint=True)
        yield _text(x, TOP + PANEL[1] + 16, f"{SHARES[index] * 100:.5g} %", anchor="middle")
    points = [
        (LEFT + PANEL[0] * min(_place(n, latency.count) / last, 1), scale.y(s)) for s, n in latency.steps()
    ]
    yield _path(points, BLUE)
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        index = SHARES.index(share)
        if index <= last:
            seconds = latency.quantile(share)
            x, y = LEFT + PANEL[0] * index / last, scale.y(seconds)
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{BLUE}"/>'
            yield _text(x - 6, y - 8, f"{name} {_label(seconds)}", anchor="end", weight=600)


def _place(below: int, count: int) -> float:
    """Where a share lies on the axis: 0 %, 50 %, 90 %, 99 % … are evenly spaced."""
    share = below / count
    if share <= 0.5:
        return share * 2
    rest = max(1 - share, 1e-9)
    return 1 + math.log(0.5 / rest) / math.log(5) if rest > 0.1 else 1 - math.log10(rest)


def _over_time(result: BenchResult) -> Iterable[str]:
    course = sorted((second, found) for second, found in result.course.items() if second >= 0)
    yield _text(RIGHT, TOP - 14, "over time")
    shown = [(second, found) for second, found in course if found.latency.count]
    if not shown:
        return
    high = max(found.latency.quantile(0.99) for _, found in shown)
    low = min(found.latency.quantile(0.5) for _, found in shown)
    scale, end = _Scale(low, high), max(course[-1][0], 1)
    yield from _axis(RIGHT, scale)
    for second in _ticks(end):
        x = RIGHT + PANEL[0] * second / end
        yield _text(x, TOP + PANEL[1] + 16, f"{second} s", anchor="middle")
    for name, share, colour, at in (("p50", 0.5, BLUE, 60), ("p99", 0.99, ORANGE, 100)):
        points = [(RIGHT + PANEL[0] * s / end, scale.y(found.latency.quantile(share))) for s, found in shown]
        yield _path(points, colour)
        yield _text(RIGHT + at, TOP - 14, name, weight=600, colour=colour)
    failed = [(second, found.errors) for second, found in course if found.errors]
    if failed:
        most = max(errors for _, errors in failed)
        yield _text(RIGHT + 140, TOP - 14, f"errors, up to {most:,} a second", weight=600, colour=RED)
        for second, errors in failed:
            x, height = RIGHT + PANEL[0] * second / end, PANEL[1] * errors / most / 4
            yield (
                f'<rect x="{x - 2:.1f}" y="{TOP + PANEL[1] - height:.1f}" width="4" height="{height:.1f}" '
                f'fill="{RED}" opacity=".7"/>'
            )


class _Scale:
    """Seconds to height, logarithmic, between two powers or halves of ten."""

    def __init__(self, low: float, high: float) -> None:
        low, high = max(low, 1e-6), max(high, 2e-6)
        marks = [base * 10.0**power for power in range(-6, 5) for base in (1, 2, 5)]
        bottom = max((mark for mark in marks if mark <= low), default=marks[0])
        top = min((mark for mark in marks if mark >= high and mark > bottom), default=marks[-1])
        self.marks = [mark for mark in marks if bottom <= mark <= top]
        if len(self.marks) > 8:
            self.marks = self.marks[:: math.ceil(len(self.marks) / 8)]
        self._bottom, self._top = math.log(bottom), math.log(top)

    def y(self, seconds: float) -> float:
        """Height of a duration."""
        at = (math.log(max(seconds, 1e-9)) - self._bottom) / (self._top - self._bottom)
        return TOP + PANEL[1] * (1 - min(max(at, 0.0), 1.0))


def _axis(left: float, scale: _Scale) -> Iterable[str]:
    for mark in scale.marks:
        y = scale.y(mark)
        yield _line(left, y, left + PANEL[0], y, faint=True)
        yield _text(left - 6, y + 4, _label(mark), anchor="end")


def _ticks(end: int) -> Sequence[int]:
    step = next(step for step in (1, 2, 5, 10, 30, 60, 300, 600, 3600, 21_600, 86_400) if end / step <= 8)
    return range(0, end + 1, step)


def _label(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: int = 400, colour: str = "currentColor"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, *, faint: bool) -> str:
    opacity = ".18" if faint else "1"
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f'stroke-opacity="{opacity}"/>'
    )


def _path(points: Sequence[tuple[float, float]], colour: str) -> str:
    kept = points if len(points) <= POINTS else [*points[:: math.ceil(len(points) / POINTS)], points[-1]]
    if len(kept) == 1:
        return f'<circle cx="{kept[0][0]:.1f}" cy="{kept[0][1]:.1f}" r="3" fill="{colour}"/>'
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)
    return f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
