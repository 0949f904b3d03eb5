"""A snapshot as text that Prometheus reads.

Formats: "Text-based format" 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats) and OpenMetrics
1.0.0 (prometheus.io/docs/specs/om/open_metrics_spec).
"""

from __future__ import annotations

from collections.abc import Iterator

from clouddeploy.monitoring.buckets import coarser
from clouddeploy.monitoring.families import COUNTER, HISTOGRAM, SHOWN, Family
from clouddeploy.monitoring.gathering import Labels, Snapshot

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def media_type(accept: str) -> str:
    """`OPEN` where the header Accept prefers it to plain text, else `PLAIN`."""
    best: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        given = [p.removeprefix("q=") for p in parameters if p.startswith("q=")]
        weight = (
            float(given[0]) if given and given[0].replace(".", "", 1).isdigit() else 0.0 if given else 1.0
        )
        best[name] = max(best.get(name, 0.0), weight)
    wanted = best.get("application/openmetrics-text", 0.0)
    others = max(best.get("text/plain", 0.0), best.get("text/*", 0.0), best.get("*/*", 0.0))
    return OPEN if wanted > 0 and wanted >= others else PLAIN


def text(snapshot: Snapshot, *, kind: str = PLAIN) -> bytes:
    """All metrics of `snapshot` that have a value."""
    is_open = kind == OPEN
    lines: list[str] = []
    for family in SHOWN:
        lines.extend(_family(family, snapshot, is_open=is_open))
    if is_open:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode()


def _family(family: Family, snapshot: Snapshot, *, is_open: bool) -> Iterator[str]:
    series = snapshot.histograms if family.kind == HISTOGRAM else snapshot.numbers
    if not series.get(family.name):
        return
    total = f"{family.name}_total" if family.kind == COUNTER else family.name
    told = family.name if is_open else total
    yield f"# HELP {told} {_escaped(family.text)}"
    yield f"# TYPE {told} {family.kind}"
    unit = family.name.rpartition("_")[2]
    if is_open and unit in ("seconds", "bytes", "celsius", "ratio", "watts", "examples"):
        yield f"# UNIT {told} {unit}"
    if family.kind == HISTOGRAM:
        yield from _histograms(family, snapshot)
        return
    for labels, value in sorted(snapshot.numbers[family.name].items()):
        yield f"{total}{_braces(family.labels, labels)} {number(value)}"


def _histograms(family: Family, snapshot: Snapshot) -> Iterator[str]:
    bounds = [number(bound) for bound in family.shown]
    for labels, counted in sorted(snapshot.histograms[family.name].items(), key=lambda item: item[0]):
        below = 0.0
        for bound, count in zip(
            [*bounds, "+Inf"], coarser(family.bounds, counted.counts, family.shown), strict=True
        ):
            below += count
            yield f"{family.name}_bucket{_braces((*family.labels, 'le'), (*labels, bound))} {number(below)}"
        inside = _braces(family.labels, labels)
        yield f"{family.name}_sum{inside} {number(counted.total)}"
        yield f"{family.name}_count{inside} {number(below)}"


def number(value: float) -> str:
    """`value` as both formats write it, whole numbers as ``1.0``: so they do in ``le``."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))


def _braces(names: tuple[str, ...], values: Labels) -> str:
    if not names:
        return ""
    pairs = zip(names, values, strict=True)
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in pairs) + "}"


def _escaped(told: str) -> str:
    return told.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(value: str) -> str:
    return _escaped(value).replace('"', '\\"').encode("utf-8", "replace").decode()
