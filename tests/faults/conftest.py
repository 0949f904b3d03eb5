"""Which sweeps run in each run of the tests; all of them are those of ``make faults``.

What took effect though its answer never came is the hardest to undo, and SIGKILL after a call the hardest to
go on from, so those run always; refusals come next. The rest would take the suite over its ten minutes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from clouddeploy.testing.faults import Fault

LOST, REFUSED, KILLED = (Fault.LOST, True), (Fault.REFUSED, False), (Fault.KILLED_AFTER, False)
Ways = frozenset[tuple[Fault, bool]]
ACTS = ("first_deploy", "an_update", "a_delete", "a_split")


def _all_acts(*ways: tuple[Fault, bool]) -> dict[str, Ways]:
    return dict.fromkeys(ACTS, frozenset(ways))


ALWAYS: Mapping[str, Mapping[str, Ways]] = {
    "sagemaker": {**_all_acts(LOST), "an_update": frozenset({LOST, KILLED})},
    "sagemaker_images": {},
    "lambda": {"an_update": frozenset({LOST}), "a_split": frozenset({LOST, REFUSED})},
    "lambda_images": {},
    "local": {"an_update": frozenset({LOST, KILLED}), "a_split": frozenset({LOST})},
    "cloud_functions": {**_all_acts(LOST), "an_update": frozenset({LOST, REFUSED, KILLED})},
    "cloud_run": {"an_update": frozenset({LOST}), "a_split": frozenset({LOST})},
}
"""By target and act; a target that isn't named here runs every sweep."""


@pytest.fixture(autouse=True)
def _within_the_time_for_all_tests(request: pytest.FixtureRequest) -> None:
    module = request.module.__name__.rpartition(".")[2]
    chosen = ALWAYS.get(module.removeprefix("test_").partition("_")[2])
    if chosen is None or os.environ.get("CLOUDDEPLOY_ALL_FAULTS"):
        return
    params = request.node.callspec.params
    way = (params["fault"], params.get("lasting", False))
    if not any(way in ways for act, ways in chosen.items() if act in request.node.name):
        pytest.skip("one of the sweeps of make faults (CLOUDDEPLOY_ALL_FAULTS=1)")
