"""Breaks every call of a deploy, an update and a delete, in every way, and looks at what is left.

The promises: a failed run leaves nothing new, what served before serves still, and running it again
ends where a run without a fault ends. Subclass `FaultSuite` like `ConformanceSuite`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.errors import CloudDeployError, LeftBehind
from clouddeploy.model import Model
from clouddeploy.testing.conformance import BATCH, recorded
from clouddeploy.testing.faults import Fault, Faulty, Transport
from clouddeploy.testing.models import linear_model
from clouddeploy.testing.rig import Rig

NAME = "faulty"
WAYS = [
    (Fault.REFUSED, False),
    (Fault.THROTTLED, True),
    (Fault.SERVER_ERROR, True),
    (Fault.RESET, False),
    (Fault.LOST, False),
    (Fault.LOST, True),
]
"""Each fault, and whether it lasts until the retries are used up or is gone at the first of them."""
POLLS = 12
"""How many calls fewer than the first a run may make, because it had to poll less often."""
Act = Callable[[Deployer], object]


@dataclass
class Stage:
    """A rig, two versions of a model, and what each act leaves when nothing breaks."""

    rig: Rig
    old: Model
    new: Model

    def times(self, lasting: bool) -> int:
        """How many attempts of a call break: one, which a retry heals, or as many as the seam makes."""
        return self.rig.attempts if lasting else 1

    def deploy(self, deployer: Deployer, model: Model) -> None:
        """Deploy `model` under the suite's name."""
        deployer.deploy(model, NAME, **self.rig.wish)

    def answers(self, model: Model) -> bool:
        """Whether what runs predicts as `model` does."""
        answer = self.rig.deployer().endpoint(NAME).predict(BATCH)
        return bool(np.array_equal(answer, np.asarray(model.load()(BATCH))))

    def deploying(self, model: Model) -> Act:
        """The act that deploys `model`."""
        return lambda deployer: self.deploy(deployer, model)

    def clear(self) -> dict[str, str]:
        """Remove the deployment, and return what the cloud then holds."""
        self.rig.deployer().delete(NAME)
        return self.rig.inventory()

    def run_broken(
        self, act: Act, at: int, fault: Fault, times: int
    ) -> tuple[Faulty, CloudDeployError | None]:
        """Run `act` with its call number `at` broken; returns the transport and what was raised."""
        kept: list[Faulty] = []

        def wrap(inner: Transport) -> Transport:
            kept.append(Faulty(inner, at=at, fault=fault, times=times, error=self.rig.error))
            return kept[-1]

        deployer = self.rig.deployer(wrap)
        try:
            act(deployer)
        except CloudDeployError as error:
            return kept[-1], error
        return kept[-1], None

    def run_killed(self, act: Act, at: int, fault: Fault) -> bool:
        """Run `act` in a process of its own that dies at its call number `at`; whether it died there."""
        child = os.fork()
        if child == 0:
            try:
                act(self.rig.deployer(lambda inner: Faulty(inner, at=at, fault=fault)))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def apart(found: dict[str, str], expected: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """What differs between two inventories, as ``key: (found, expected)``."""
    keys = sorted(found.keys() | expected.keys())
    return {k: (found.get(k), expected.get(k)) for k in keys if found.get(k) != expected.get(k)}


def _calls(stage: Stage, act: Act) -> list[int]:
    """Run `act` unbroken; the numbers of its calls that are worth breaking."""
    deployer, recorder = recorded(stage.rig)
    act(deployer)
    calls = recorder.calls
    if stage.rig.every_read:
        return list(range(len(calls)))
    last = {call: number for number, call in enumerate(calls)}
    ends = {*last.values(), *(calls.index(call) for call in last)}
    return [number for number, call in enumerate(calls) if number in ends or stage.rig.mutates(call)]


def _label(faulty: Faulty) -> str:
    return f"{faulty.fault} at call {faulty.at} ({'.'.join(faulty.broken or ('none',))})"


class FaultSuite:
    """Every call of deploy, update and delete, broken in every way."""

    @pytest.fixture
    def stage(self, rig: Rig, tmp_path: Path) -> Iterator[Stage]:
        """A cloud with nothing of the suite's name in it."""
        stage = Stage(rig, linear_model(tmp_path, 1.0), linear_model(tmp_path, 2.0))
        stage.clear()
        yield stage
        stage.clear()

    @pytest.mark.parametrize(("fault", "lasting"), WAYS)
    def test_a_fault_at_any_call_of_a_first_deploy_leaves_nothing(
        self, stage: Stage, fault: Fault, lasting: bool
    ) -> None:
        act = stage.deploying(stage.old)
        empty = stage.rig.inventory()
        calls = _calls(stage, act)
        complete = stage.rig.inventory()
        for at in calls:
            assert not apart(stage.clear(), empty)
            faulty, error = stage.run_broken(act, at, fault, stage.times(lasting))
            found = stage.rig.inventory()
            assert not apart(found, empty if error else complete), f"{_label(faulty)}: {error}"
            act(stage.rig.deployer())
            assert not apart(stage.rig.inventory(), complete), _label(faulty)
            assert stage.answers(stage.old)

    @pytest.mark.parametrize(("fault", "lasting"), WAYS)
    def test_a_fault_at_any_call_of_an_update_keeps_the_old_release_serving(
        self, stage: Stage, fault: Fault, lasting: bool
    ) -> None:
        old, new = stage.old, stage.new
        stage.deploy(stage.rig.deployer(), new)
        stage.deploy(stage.rig.deployer(), old)
        calls = _calls(stage, stage.deploying(new))
        after = {new: stage.rig.inventory()}
        stage.deploy(stage.rig.deployer(), old)
        after[old] = stage.rig.inventory()
        for at in calls:
            faulty, error = stage.run_broken(stage.deploying(new), at, fault, stage.times(lasting))
            found = stage.rig.inventory()
            if isinstance(error, LeftBehind):
                assert stage.answers(old if error.unrestored else new), _label(faulty)
            else:
                assert not apart(found, after[old if error else new]), f"{_label(faulty)}: {error}"
                assert stage.answers(old if error else new), _label(faulty)
            stage.deploy(stage.rig.deployer(), new)
            assert not apart(stage.rig.inventory(), after[new]), _label(faulty)
            assert stage.answers(new)
            old, new = new, old

    @pytest.mark.parametrize(("fault", "lasting"), WAYS)
    def test_a_delete_broken_at_any_call_is_finished_by_the_next(
        self, stage: Stage, fault: Fault, lasting: bool
    ) -> None:
        empty = stage.rig.inventory()
        stage.deploy(stage.rig.deployer(), stage.old)
        calls = _calls(stage, lambda d: d.delete(NAME))
        for at in calls:
            stage.deploy(stage.rig.deployer(), stage.old)
            faulty, error = stage.run_broken(lambda d: d.delete(NAME), at, fault, stage.times(lasting))
            if error is None:
                assert not apart(stage.rig.inventory(), empty), _label(faulty)
            assert not apart(stage.clear(), empty), f"{_label(faulty)}: {error}"

    @pytest.mark.parametrize(("fault", "lasting"), WAYS)
    def test_a_split_broken_at_any_call_keeps_the_shares_that_were(
        self, stage: Stage, fault: Fault, lasting: bool
    ) -> None:
        deployer = stage.rig.deployer()
        stage.deploy(deployer, stage.old)
        endpoint = deployer.endpoint(NAME)
        old = endpoint.status().release
        stage.deploy(deployer, stage.new)
        new = endpoint.status().release
        shares = {False: {new: 100}, True: {new: 60, old: 40}}
        after = {False: stage.rig.inventory()}

        def split(deployer: Deployer) -> object:
            return deployer.split(NAME, shares[True])

        calls = _calls(stage, split)
        after[True] = stage.rig.inventory()
        for at in calls:
            stage.rig.deployer().split(NAME, shares[False])
            faulty, error = stage.run_broken(split, at, fault, stage.times(lasting))
            if isinstance(error, LeftBehind):
                assert endpoint.traffic in shares.values(), _label(faulty)
            else:
                assert endpoint.traffic == shares[not error], f"{_label(faulty)}: {error}"
                assert not apart(stage.rig.inventory(), after[not error]), f"{_label(faulty)}: {error}"
            split(stage.rig.deployer())
            assert endpoint.traffic == shares[True]
            assert not apart(stage.rig.inventory(), after[True]), _label(faulty)


class KillSuite:
    """SIGKILL at every call, then a second run. For clouds that outlive the process."""

    stage = FaultSuite.stage

    @pytest.mark.parametrize("fault", [Fault.KILLED, Fault.KILLED_AFTER])
    def test_a_first_deploy_killed_at_any_call_is_finished_by_the_next(
        self, stage: Stage, fault: Fault
    ) -> None:
        act = stage.deploying(stage.old)
        empty = stage.rig.inventory()
        calls = _calls(stage, act)
        complete = stage.rig.inventory()
        for at in calls:
            assert not apart(stage.clear(), empty)
            assert stage.run_killed(act, at, fault) or at >= calls[-1] - POLLS
            act(stage.rig.deployer())
            assert not apart(stage.rig.inventory(), complete), f"{fault} at {at}"
            assert stage.answers(stage.old)

    @pytest.mark.parametrize("fault", [Fault.KILLED, Fault.KILLED_AFTER])
    def test_an_update_killed_at_any_call_serves_throughout_and_is_finished_by_the_next(
        self, stage: Stage, fault: Fault
    ) -> None:
        old, new = stage.old, stage.new
        stage.deploy(stage.rig.deployer(), new)
        stage.deploy(stage.rig.deployer(), old)
        calls = _calls(stage, stage.deploying(new))
        after = {new: stage.rig.inventory()}
        stage.deploy(stage.rig.deployer(), old)
        after[old] = stage.rig.inventory()
        for at in calls:
            died = stage.run_killed(stage.deploying(new), at, fault)
            assert died or at >= calls[-1] - POLLS
            assert stage.answers(old) or stage.answers(new), f"{fault} at {at}"
            stage.deploy(stage.rig.deployer(), new)
            assert not apart(stage.rig.inventory(), after[new]), f"{fault} at {at}"
            assert stage.answers(new)
            old, new = new, old

    @pytest.mark.parametrize("fault", [Fault.KILLED, Fault.KILLED_AFTER])
    def test_a_delete_killed_at_any_call_is_finished_by_the_next(self, stage: Stage, fault: Fault) -> None:
        empty = stage.rig.inventory()
        stage.deploy(stage.rig.deployer(), stage.old)
        calls = _calls(stage, lambda d: d.delete(NAME))
        for at in calls:
            stage.deploy(stage.rig.deployer(), stage.old)
            assert stage.run_killed(lambda d: d.delete(NAME), at, fault) or at >= calls[-1] - POLLS
            assert not apart(stage.clear(), empty), f"{fault} at {at}"
