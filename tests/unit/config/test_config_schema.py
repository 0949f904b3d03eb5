"""The published JSON schema says the same as the code that reads clouddeploy.toml."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy import config
from clouddeploy.schema import ShapeError, convert
from clouddeploy.spec import Alarm, Autoscaling, Compute
from clouddeploy.toml_lines import key_lines

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(ROOT.glob("examples/**/clouddeploy.toml"))


def validator() -> jsonschema.Draft202012Validator:
    schema = config.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_shipped_schema_is_the_generated_one() -> None:
    shipped = resources.files("clouddeploy").joinpath("clouddeploy.schema.json").read_text("utf-8")
    wanted = json.dumps(config.json_schema(), indent=2, ensure_ascii=False) + "\n"
    assert shipped == wanted, "run: python -m clouddeploy schema > clouddeploy/clouddeploy.schema.json"


def without_description(schema: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for key, part in schema.get("properties", {}).items():
        found += [] if part.get("description") else [f"{path}{key}"]
        found += without_description(part, f"{path}{key}.")
        found += without_description(part.get("items", {}), f"{path}{key}.")
    return found


def test_every_key_is_described() -> None:
    assert without_description(config.json_schema()) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_examples_fit_the_schema(path: Path) -> None:
    validator().validate(tomllib.loads(path.read_text("utf-8")))
    config.load(path)


@pytest.mark.parametrize(
    "table",
    [
        {"name": "a"},
        {"name": "a", "model": {"file": "m"}, "colour": "red"},
        {"name": "a", "model": {"file": "m"}, "autoscaling": {"min": "one"}},
        {"name": "a", "model": {"file": "m"}, "alarms": [{"metric": "heat", "above": 1}]},
        {"name": "a", "model": {"file": "m"}, "env": {"A": 1}},
    ],
)
def test_the_schema_refuses_what_the_code_refuses(table: dict[str, Any]) -> None:
    assert not validator().is_valid(table)
    with pytest.raises(ShapeError):
        config.convert_keys(table, config._hints(), needed=["name", "model"])


SCHEDULE = {"cron": "0 8 * * *", "min": 1}
VALUES = st.sampled_from(
    [True, 0, 1, 0.5, 128, 700, "", "x", "latency_ms", [], ["x"], [1], [SCHEDULE], [{**SCHEDULE, "x": 1}], {}]
)
KEYS = ["instance", "memory_mb", "min", "max", "cpu", "schedules", "metric", "above", "notify", "bogus"]


@given(
    hint=st.sampled_from([Compute, Autoscaling, Alarm]),
    table=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3),
)
def test_whatever_the_code_takes_the_schema_takes(hint: type, table: dict[str, Any]) -> None:
    from clouddeploy.schema import schema_of

    try:
        convert(table, hint)
    except ShapeError:
        return
    assert jsonschema.Draft202012Validator(schema_of(hint)).is_valid(table)


@given(
    names=st.lists(st.from_regex(r"[a-z_-]{1,6}", fullmatch=True), min_size=1, max_size=4, unique=True),
    blank=st.integers(0, 3),
)
def test_a_key_is_found_on_the_line_it_was_written_on(names: list[str], blank: int) -> None:
    text = (
        "\n" * blank + "".join(f"{name} = 1\n" for name in names) + "[[t.list]]\na = 1\n[[t.list]]\na = 2\n"
    )
    lines = key_lines(text)
    assert [lines[(name,)] for name in names] == list(range(blank + 1, blank + 1 + len(names)))
    assert lines[("t", "list", 1, "a")] == blank + len(names) + 4


def test_keys_within_a_text_of_several_lines_are_no_keys() -> None:
    lines = key_lines('a = """\nb = 1\n"""\nc = 2\n')
    assert lines == {("a",): 1, ("c",): 4}
