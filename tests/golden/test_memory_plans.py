from __future__ import annotations

import json
from pathlib import Path

import pytest

from clouddeploy import errors
from clouddeploy.model import Model
from clouddeploy.testing.models import linear_model
from tests.golden.memory_cases import FOLDER, plain, plan_of

CASES = sorted(FOLDER.glob("*.json"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("models")
    return {
        label: linear_model(folder / label, factor) for label, factor in zip("ABC", (1, 2, 3), strict=True)
    }


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_wish_and_what_is_observed_give_the_plan_in_the_file(path: Path, models: dict[str, Model]) -> None:
    case = json.loads(path.read_text())
    if "error" in case:
        with pytest.raises(getattr(errors, case["error"])):
            plan_of(case, models)
        return
    assert plain(plan_of(case, models), case, models) == case["plan"]


def test_there_are_cases() -> None:
    assert len(CASES) >= 8
