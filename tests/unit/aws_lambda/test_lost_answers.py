"""Answers that get lost, and changes that break: nothing is left, nothing is done twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from clouddeploy.errors import CredentialsError, DeployFailed
from clouddeploy.model import Model
from clouddeploy.testing.faults import losing_once
from tests.unit.aws.test_client import refusal
from tests.unit.aws_lambda.conftest import WISH, Bench
from tests.unit.aws_lambda.test_lifecycle import EVERYTHING, OPTIONS, SCRIPT, served

CREATES = frozenset(SCRIPT) - {"GetCallerIdentity", "GetProvisionedConcurrencyConfig"}


def test_a_lost_answer_to_every_create_is_no_failure(bench: Bench, model: Model) -> None:
    deployer = bench.deployer(**OPTIONS)
    lost = losing_once(deployer.provider, CREATES.__contains__)
    endpoint = deployer.deploy(model, "digits", **EVERYTHING)
    assert lost == CREATES
    assert endpoint.status().phase == "ready"
    assert not bench.deployer(**OPTIONS).plan(model, "digits", **EVERYTHING).changes


def test_a_lost_answer_to_every_change_is_no_failure(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer(**OPTIONS).deploy(model, "digits", **EVERYTHING)
    deployer = bench.deployer(**OPTIONS)
    lost = losing_once(deployer.provider, lambda o: o.startswith(("Update", "Publish", "Tag", "Delete")))
    deployer.deploy(newer, "digits", **EVERYTHING)
    assert lost >= {"UpdateFunctionCode", "UpdateFunctionConfiguration", "PublishVersion", "UpdateAlias"}
    assert served(bench) == f"{newer.digest[:12]} 3.13 arm64"
    assert [v["Version"] for v in bench.cloud.functions["digits"]["versions"]] == ["1", "2"]


def test_a_lost_answer_to_every_delete_is_no_failure(bench: Bench, model: Model) -> None:
    bench.deployer(**OPTIONS).deploy(model, "digits", **EVERYTHING)
    deployer = bench.deployer()
    losing_once(deployer.provider, lambda operation: operation.startswith(("Delete", "Deregister")))
    deployer.delete("digits")
    assert bench.inventory() == {}


@pytest.mark.parametrize(
    ("operation", "nth"),
    [
        ("TagResource", 1),
        ("TagResource", 2),
        ("UpdateFunctionCode", 1),
        ("UpdateFunctionConfiguration", 1),
        ("PublishVersion", 1),
        ("UpdateAlias", 1),
    ],
)
def test_an_update_broken_at_any_change_is_undone(
    bench: Bench, model: Model, newer: Model, operation: str, nth: int
) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    before, seen = bench.inventory(), []

    def refusing(service: str, called: str, params: Mapping[str, Any]) -> None:
        seen.append(called)
        if called == operation and seen.count(called) == nth:
            raise refusal("AccessDeniedException", "User: x is not authorized to perform: a:B")

    with pytest.raises(DeployFailed) as caught:
        bench.deployer(refusing).deploy(newer, "digits", **WISH)
    assert isinstance(caught.value.__cause__, CredentialsError)
    assert bench.inventory() == before
    assert not bench.deployer().plan(model, "digits", **WISH).changes
    bench.deployer().deploy(newer, "digits", **WISH)
    assert served(bench) == f"{newer.digest[:12]} 3.13 arm64"
