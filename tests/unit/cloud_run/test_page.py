"""docs/cloud-run.md names what is there, and all of it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from clouddeploy.providers.cloud_run import CloudRun
from clouddeploy.providers.cloud_run.gpus import GPUS
from clouddeploy.providers.cloud_run.options import Options

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "cloud-run.md").read_text("utf-8")


def test_the_page_has_every_option_and_every_gpu() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert rows == {f.name for f in fields(Options)} | {"bucket"}
    assert all(f'"{kind}"' in PAGE for kind in GPUS)


def test_the_pages_code_for_the_permissions_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "permissions" in b]
    exec(compile(block, "cloud-run.md", "exec"), {})
    assert "run.services.create" in capsys.readouterr().out


def test_links_go_to_pages_that_are_there() -> None:
    for target in re.findall(r"\]\((\w[\w.-]*\.md)", PAGE):
        assert (ROOT / "docs" / target).is_file(), target


def test_the_permissions_name_each_service_that_is_called() -> None:
    services = {p.partition(".")[0] for p in CloudRun.permissions()["includedPermissions"]}
    assert services == {"artifactregistry", "iam", "logging", "monitoring", "run", "secretmanager", "storage"}
