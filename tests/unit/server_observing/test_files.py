"""The dashboard for Grafana, the alert rules and the page on monitoring name what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from clouddeploy.monitoring.families import COUNTER, HISTOGRAM, SHOWN
from clouddeploy.runtime.errors import STATUS

DOCS = Path(__file__).resolve().parents[3] / "docs"
GRAFANA: dict[str, Any] = json.loads((DOCS / "monitoring/grafana.json").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((DOCS / "monitoring/alerts.yaml").read_text())
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
FROM_PROMETHEUS = {"instance", "job"}


def series() -> dict[str, set[str]]:
    """Every name that can be asked for, and its labels."""
    found: dict[str, set[str]] = {}
    for family in SHOWN:
        labels = set(family.labels)
        if family.kind == HISTOGRAM:
            found[f"{family.name}_bucket"] = labels | {"le"}
            found[f"{family.name}_sum"] = found[f"{family.name}_count"] = labels
        else:
            found[f"{family.name}_total" if family.kind == COUNTER else family.name] = labels
    return found


EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in GRAFANA["panels"] for target in panel["targets"]
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_that_is_named_exists(expression: str) -> None:
    known = series()
    for name, chosen in re.findall(r"\b(clouddeploy_\w+)(?:\{([^}]*)\})?", expression):
        assert name in known
        assert set(re.findall(r"(\w+)\s*[=!]", chosen)) <= known[name] | FROM_PROMETHEUS
    grouped = {label for part in re.findall(r"by \(([^)]*)\)", expression) for label in part.split(", ")}
    assert grouped <= set().union(*known.values()) | FROM_PROMETHEUS
    assert expression.count("(") == expression.count(")")


def test_error_codes_that_alerts_name_exist() -> None:
    for codes in re.findall(r'code=~"([^"]+)"', " ".join(EXPRESSIONS)):
        assert set(codes.split("|")) <= set(STATUS)


def test_alerts_have_what_prometheus_wants() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_panels_have_ids_of_their_own_and_dont_overlap() -> None:
    places: set[tuple[int, int]] = set()
    assert len({panel["id"] for panel in GRAFANA["panels"]}) == len(GRAFANA["panels"])
    for panel in GRAFANA["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        taken = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & places
        places |= taken


def test_the_page_tells_every_metric() -> None:
    text = (DOCS / "monitoring.md").read_text()
    for family in SHOWN:
        short = family.name.removeprefix("clouddeploy_worker").removeprefix("clouddeploy_gpu")
        assert family.name in text or f"…{short}" in text, family.name
