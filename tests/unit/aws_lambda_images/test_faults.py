"""Each call to ECR and each request to its registry broken, in every way: nothing half-made stays."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.errors import CloudDeployError
from clouddeploy.model import Model
from clouddeploy.testing.faults import Fault, Faulty, Transport
from tests.unit.aws_lambda_images.conftest import WISH, Bench

ATTEMPTS = 5
WAYS = [
    (Fault.REFUSED, 1),
    (Fault.SERVER_ERROR, ATTEMPTS),
    (Fault.THROTTLED, 1),
    (Fault.RESET, 1),
    (Fault.LOST, 1),
    (Fault.LOST, ATTEMPTS),
]
OF_IMAGES = ("ecr", "registry")
EVERY = bool(os.environ.get("CLOUDDEPLOY_ALL_FAULTS"))
MOST = 12
"""Calls of an act that are broken when not all are."""
Act = Callable[[Deployer], object]


QUICK = {
    "first_deploy": (Fault.REFUSED, 1),
    "update": (Fault.LOST, ATTEMPTS),
    "delete": (Fault.RESET, 1),
}


@pytest.fixture(autouse=True)
def _within_the_time_for_all_tests(request: pytest.FixtureRequest) -> None:
    way = (request.getfixturevalue("fault"), request.getfixturevalue("times"))
    quick = any(what in request.node.name and way == chosen for what, chosen in QUICK.items())
    if not quick and not EVERY:
        pytest.skip("each way takes ten seconds and more: CLOUDDEPLOY_ALL_FAULTS=1")


def numbers(bench: Bench, act: Act) -> list[int]:
    """Run `act` unbroken; the numbers of its calls that are about images."""
    act(bench.deployer())
    found = [number for number, (service, _) in enumerate(bench.calls) if service in OF_IMAGES]
    return found if EVERY else found[:: 1 + len(found) // MOST]


def broken(bench: Bench, act: Act, at: int, fault: Fault, times: int) -> tuple[str, CloudDeployError | None]:
    """Run `act` with its call number `at` broken: what broke, and what was raised."""
    kept: list[Faulty] = []

    def wrap(inner: Transport) -> Transport:
        kept.append(Faulty(inner, at=at, fault=fault, times=times))
        return kept[-1]

    deployer = bench.deployer(wrap)
    try:
        act(deployer)
    except CloudDeployError as error:
        return f"{fault} at {at} {kept[-1].broken}", error
    return f"{fault} at {at} {kept[-1].broken}", None


def serving(found: dict[str, str]) -> dict[str, str]:
    """An inventory without the numbers of versions, which an undone release uses up."""
    return {k: v for k, v in found.items() if not k.startswith(("version/", "alias/"))}


@pytest.mark.parametrize(("fault", "times"), WAYS)
def test_a_fault_in_a_first_deploy_leaves_nothing(
    bench: Bench, model: Model, fault: Fault, times: int
) -> None:
    def act(deployer: Deployer) -> None:
        deployer.deploy(model, "digits", **WISH)

    empty = bench.inventory()
    found = numbers(bench, act)
    complete = bench.inventory()
    assert len(found) > 8
    for at in found:
        bench.deployer().delete("digits")
        assert bench.inventory() == empty
        what, error = broken(bench, act, at, fault, times)
        assert bench.inventory() == (empty if error else complete), f"{what}: {error}"
        act(bench.deployer())
        assert bench.inventory() == complete, what


@pytest.mark.parametrize(("fault", "times"), WAYS)
def test_a_fault_in_an_update_keeps_what_served(
    bench: Bench, model: Model, newer: Model, fault: Fault, times: int
) -> None:
    def deploying(which: Model) -> Act:
        return lambda deployer: deployer.deploy(which, "digits", keep_releases=0, **WISH)

    deploying(model)(bench.deployer())
    before = serving(bench.inventory())
    found = numbers(bench, deploying(newer))
    after = serving(bench.inventory())
    for at in found:
        deploying(model)(bench.deployer())
        what, error = broken(bench, deploying(newer), at, fault, times)
        now = serving(bench.inventory())
        runs = bench.runs().partition("@")[2]
        assert runs in (digest_in(before), digest_in(after)), f"{what}: {error}"
        assert runs in now.values(), f"{what}: what runs has lost its image: {error}"
        if error is None:
            assert now == after, what
        elif "left" not in type(error).__name__.lower():
            assert now == before, f"{what}: {error}"
        deploying(newer)(bench.deployer())
        assert serving(bench.inventory()) == after, f"{what}: {error}"


def digest_in(state: dict[str, str]) -> str:
    """The digest of the one image of `state`."""
    (digest,) = [v for k, v in state.items() if k.startswith("image/")]
    return digest


@pytest.mark.parametrize(("fault", "times"), WAYS)
def test_a_delete_that_breaks_is_finished_by_the_next(
    bench: Bench, model: Model, fault: Fault, times: int
) -> None:
    def act(deployer: Deployer) -> None:
        deployer.delete("digits")

    empty = bench.inventory()
    bench.deploy(model)
    for at in numbers(bench, act):
        bench.deploy(model)
        what, error = broken(bench, act, at, fault, times)
        if error is None:
            assert bench.inventory() == empty, what
        bench.deployer().delete("digits")
        assert bench.inventory() == empty, f"{what}: {error}"
