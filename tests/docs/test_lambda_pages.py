"""docs/lambda.md and docs/serverless.md name what is there, and all of it."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from clouddeploy.emulator.cloudformation.kinds.table import KINDS
from clouddeploy.providers.aws_lambda.options import Options

ROOT = Path(__file__).parents[2]
LAMBDA = (ROOT / "docs" / "lambda.md").read_text("utf-8")
SERVERLESS = (ROOT / "docs" / "serverless.md").read_text("utf-8")


def test_the_permissions_that_lambda_takes_are_printed() -> None:
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", LAMBDA, re.S) if "permissions" in b)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, "lambda.md", "exec"), {})
    assert json.loads(printed.getvalue())["Version"] == "2012-10-17"


def test_every_option_of_the_target_is_told_with_its_default() -> None:
    table = LAMBDA.partition("## Options")[2].partition("\n\nFields")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| `?\"?([^|`\"]+)\"?`? \|", table, re.M))
    assert set(told) == {f.name for f in fields(Options)} | {"bucket"}
    words = {None: "none", False: "off"}
    defaults = {f.name: words.get(f.default, str(f.default)) for f in fields(Options)}
    assert {k: v.strip() for k, v in told.items() if k != "bucket"} == defaults


def test_the_stages_are_told_as_serverless_yml_has_them() -> None:
    text = (ROOT / "serverless.yml").read_text("utf-8").partition("params:")[2].partition("provider:")[0]
    assert re.findall(r"retention: (\d+)", text) == ["7", "14", "90"]
    assert re.findall(r"concurrency: (\d+)", text) == ["1", "2"]
    assert "7, 14 and 90 days" in SERVERLESS
    assert "`staging` one copy and `prod` two" in SERVERLESS


@pytest.mark.parametrize("page", ["docs/serverless.md", "docs/lambda.md", "examples/serverless/README.md"])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_type_that_serverless_yml_needs_is_made_by_us_not_by_moto() -> None:
    text = (ROOT / "serverless.yml").read_text("utf-8")
    assert set(re.findall(r"Type: (AWS::\w+::\w+)", text)) <= set(KINDS)
