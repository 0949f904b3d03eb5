"""The suite that every provider passes.

To test yours, subclass `ConformanceSuite` in a test module, beside a fixture named ``rig``::

    @pytest.fixture(scope="module")
    def rig():
        with my_rig() as rig:
            yield rig


    class TestMine(ConformanceSuite):
        pass
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.endpoint import Endpoint
from clouddeploy.errors import DeployFailed, DeploymentLocked, NotFound, SpecError
from clouddeploy.model import Model
from clouddeploy.spec import Autoscaling
from clouddeploy.testing.faults import Faulty, Transport
from clouddeploy.testing.models import broken_model, linear_model
from clouddeploy.testing.rig import Rig

BATCH = np.array([[1, 2, 3, 4], [0.5, -1, 0.25, 8]], dtype=np.float32)
JSON = "application/json"
_numbers = itertools.count()


def recorded(rig: Rig) -> tuple[Deployer, Faulty]:
    """A deployer of `rig` and the recorder that its calls go through."""
    kept: list[Faulty] = []

    def wrap(inner: Transport) -> Transport:
        kept.append(Faulty(inner))
        return kept[-1]

    deployer = rig.deployer(wrap)
    return deployer, kept[-1]


class ConformanceSuite:
    """What every provider must keep, whatever the cloud."""

    @pytest.fixture
    def name(self, rig: Rig) -> Iterator[str]:
        """A name of the test's own; what stands under it is removed afterwards."""
        name = f"conform-{next(_numbers)}"
        yield name
        rig.deployer().delete(name)

    @pytest.fixture
    def model(self, tmp_path: Path) -> Model:
        """The first version."""
        return linear_model(tmp_path, 1.0)

    @pytest.fixture
    def newer(self, tmp_path: Path) -> Model:
        """The second version."""
        return linear_model(tmp_path, 2.0)

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls, rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, Model]]:
        """A deployment that the tests of requests share, and its model."""
        model = linear_model(tmp_path_factory.mktemp("served"), 1.0)
        yield rig.deployer().deploy(model, "conform-served", **rig.wish), model
        rig.deployer().delete("conform-served")

    def test_a_deployed_model_answers_as_it_does_in_process(self, served: tuple[Endpoint, Model]) -> None:
        endpoint, model = served
        answer = endpoint.predict(BATCH)
        assert answer.dtype == np.float32
        assert answer.tobytes() == np.asarray(model.load()(BATCH)).tobytes()
        assert endpoint.status().phase == "ready"

    @pytest.mark.parametrize(
        ("body", "content_type", "accept"),
        [
            (b'{"inputs": [[1, 2, 3, 4], [0.1, 1e-7, -3, 1e20]]}', JSON, JSON),
            (b'{"input": [1, 2, 3, 4]}', JSON, JSON),
            (b"1,2,3,4\n5,6,7,8\n", "text/csv", JSON),
            (b'{"inputs": [[1, 2, 3, 4]]}', JSON, "text/csv"),
            (b'{"inputs": [[1, 2, 3, 4]]}', JSON, "application/x-npy"),
        ],
    )
    def test_the_same_bytes_get_the_same_bytes_as_in_process(
        self, served: tuple[Endpoint, Model], tmp_path: Path, body: bytes, content_type: str, accept: str
    ) -> None:
        from clouddeploy.packaging import sagemaker_artifact
        from clouddeploy.runtime.service import Service

        endpoint, model = served
        here = sagemaker_artifact(model, compression="none").write(tmp_path / "here")
        expected = Service.load(here, here / "code").answer(body, content_type, accept)
        reply = endpoint.predict_raw(body, content_type=content_type, accept=accept)
        assert (reply.body, reply.content_type) == (expected.body, expected.content_type)

    @pytest.mark.parametrize(
        ("body", "content_type", "code"),
        [
            (b"", JSON, "empty_body"),
            (b"{", JSON, "bad_json"),
            (b'{"inputs": [[1, 2], [3]]}', JSON, None),
            (b'{"inputs": [[NaN, 1, 2, 3]]}', JSON, "bad_json"),
            (b"<xml/>", "application/xml", "unsupported_media_type"),
        ],
    )
    def test_bad_input_is_told_with_its_code_and_harms_nothing(
        self, served: tuple[Endpoint, Model], body: bytes, content_type: str, code: str | None
    ) -> None:
        from clouddeploy.errors import CloudDeployError, InputError

        endpoint, _ = served
        with pytest.raises(CloudDeployError) as caught:
            endpoint.predict_raw(body, content_type=content_type)
        if code is not None:
            assert isinstance(caught.value, InputError)
            assert caught.value.code == code
        assert endpoint.predict(BATCH).shape == (2, 3)

    def test_an_unchanged_deploy_changes_nothing_and_the_plan_says_why(
        self, rig: Rig, name: str, model: Model
    ) -> None:
        rig.deployer().deploy(model, name, **rig.wish)
        before = rig.inventory()
        deployer, calls = recorded(rig)
        plan = deployer.plan(model, name, **rig.wish)
        assert not plan.changes
        assert "nothing to do" in str(plan)
        deployer.deploy(model, name, **rig.wish)
        assert [c for c in calls.calls if rig.mutates(c)] == []
        assert rig.inventory() == before

    def test_a_plan_changes_nothing(self, rig: Rig, name: str, model: Model) -> None:
        before = rig.inventory()
        deployer, calls = recorded(rig)
        plan = deployer.plan(model, name, **rig.wish)
        assert plan.changes
        json.dumps(plan.to_dict())
        assert [c for c in calls.calls if rig.mutates(c)] == []
        assert rig.inventory() == before

    def test_an_update_serves_the_new_release_and_rollback_the_old(
        self, rig: Rig, name: str, model: Model, newer: Model
    ) -> None:
        deployer = rig.deployer()
        first = deployer.deploy(model, name, **rig.wish)
        release = first.status().release
        second = deployer.deploy(newer, name, **rig.wish)
        assert np.array_equal(second.predict(BATCH), np.asarray(newer.load()(BATCH)))
        assert second.status().release != release
        back = deployer.rollback(name)
        assert back.status().release == release
        assert np.array_equal(back.predict(BATCH), np.asarray(model.load()(BATCH)))

    def test_two_releases_share_the_requests_as_asked_and_a_canary_ends_either_way(
        self, rig: Rig, name: str, model: Model, newer: Model
    ) -> None:
        deployer = rig.deployer()
        old = deployer.deploy(model, name, **rig.wish).status().release
        endpoint = deployer.deploy(newer, name, **rig.wish)
        new = endpoint.status().release
        assert endpoint.traffic == {new: 100}
        endpoint.split({new: 40, old: 60})
        assert endpoint.traffic == {new: 40, old: 60}
        answers = {endpoint.predict(BATCH).tobytes() for _ in range(60)}
        assert answers == {np.asarray(one.load()(BATCH)).tobytes() for one in (model, newer)}
        with pytest.raises(SpecError, match=old[:10]):
            endpoint.rollback()
        assert endpoint.traffic == {new: 40, old: 60}, "whichever comes before can't be told"
        endpoint.split({old: 100})
        assert endpoint.traffic == {old: 100}
        assert np.array_equal(endpoint.predict(BATCH), np.asarray(model.load()(BATCH)))

    def test_a_deploy_over_a_split_ends_it_and_leaves_nothing_of_it(
        self, rig: Rig, name: str, model: Model, newer: Model
    ) -> None:
        deployer = rig.deployer()
        old = deployer.deploy(model, name, **rig.wish).status().release
        endpoint = deployer.deploy(newer, name, **rig.wish)
        before, new = rig.inventory(), endpoint.status().release
        endpoint.split({new: 50, old: 50})
        assert deployer.plan(newer, name, **rig.wish).changes
        deployer.deploy(newer, name, **rig.wish)
        assert endpoint.traffic == {new: 100}
        assert rig.inventory() == before

    def test_requests_are_not_split_between_releases_that_are_not_kept(
        self, rig: Rig, name: str, model: Model
    ) -> None:
        endpoint = rig.deployer().deploy(model, name, **rig.wish)
        release = endpoint.status().release
        with pytest.raises(NotFound):
            endpoint.split({release: 90, "0123456789": 10})
        wrong: list[Any] = [{release: 99}, {release: 101}, {release: 50.0, "0123456789": 50}, {"x": 100}, {}]
        for bad in wrong:
            with pytest.raises(SpecError):
                endpoint.split(bad)
        assert endpoint.traffic == {release: 100}

    def test_scaling_what_runs_equals_a_deploy_with_that_policy(
        self, rig: Rig, name: str, model: Model
    ) -> None:
        deployer = rig.deployer()
        endpoint = deployer.deploy(model, name, **rig.wish)
        endpoint.scale(rig.rescaled)
        assert deployer.plan(model, name, **rig.wish).changes
        plan = deployer.plan(model, name, **{**rig.wish, "autoscaling": rig.rescaled})
        assert not plan.changes, str(plan)
        assert np.array_equal(endpoint.predict(BATCH), np.asarray(model.load()(BATCH)))

    def test_every_field_of_the_policy_is_told_what_becomes_of_it(self, rig: Rig) -> None:
        told = rig.deployer().provider.autoscaling
        assert set(told) == {field.name for field in fields(Autoscaling)}
        assert all(mapped.how for mapped in told.values())

    def test_delete_leaves_nothing_and_can_be_repeated(
        self, rig: Rig, name: str, model: Model, newer: Model
    ) -> None:
        before = rig.inventory()
        deployer = rig.deployer()
        deployer.deploy(model, name, **rig.wish)
        deployer.deploy(newer, name, **rig.wish)
        assert rig.inventory() != before
        deployer.delete(name)
        assert rig.inventory() == before
        deployer.delete(name)
        assert rig.inventory() == before
        assert deployer.endpoint(name).status().phase == "missing"

    def test_calling_what_is_not_there_says_so(self, rig: Rig) -> None:
        with pytest.raises(NotFound):
            rig.deployer().endpoint("never-deployed").predict(BATCH)

    def test_a_deployment_is_listed_and_tells_its_address(self, rig: Rig, name: str, model: Model) -> None:
        deployer = rig.deployer()
        endpoint = deployer.deploy(model, name, **rig.wish)
        assert endpoint.url.startswith(("http://", "https://")) or rig.target == "memory"
        (row,) = [r for r in deployer.list() if r.name == name]
        assert (row.target, row.phase) == (rig.target, "ready")

    def test_a_release_that_cannot_start_fails_with_its_log_and_leaves_nothing(
        self, rig: Rig, name: str, tmp_path: Path
    ) -> None:
        before = rig.inventory()
        with pytest.raises(DeployFailed) as caught:
            rig.deployer().deploy(broken_model(tmp_path / "broken", "load"), name, **rig.wish)
        assert "broken on purpose" in str(caught.value)
        assert rig.inventory() == before

    def test_a_broken_update_keeps_the_old_release_serving(
        self, rig: Rig, name: str, model: Model, tmp_path: Path
    ) -> None:
        endpoint = rig.deployer().deploy(model, name, **rig.wish)
        before = rig.inventory()
        with pytest.raises(DeployFailed):
            rig.deployer().deploy(broken_model(tmp_path / "broken", "load"), name, **rig.wish)
        assert np.array_equal(endpoint.predict(BATCH), np.asarray(model.load()(BATCH)))
        assert rig.inventory() == before

    def test_two_deploys_of_one_name_at_once_are_told_apart(self, rig: Rig, name: str, model: Model) -> None:
        first, second = rig.deployer(), rig.deployer()
        first.deploy(model, name, **rig.wish)
        graph = first.provider.compile(_deployment(model, name, rig.wish))
        graph.lock.acquire(graph.lock.peek())
        with pytest.raises(DeploymentLocked) as caught:
            second.delete(name)
        assert caught.value.why or caught.value.fix
        graph.lock.release(forget=False)

    def test_a_name_that_no_cloud_takes_is_refused(self, rig: Rig, model: Model) -> None:
        for bad in ("My_Model", "-a", "a" * 64, "", "a--b"):
            with pytest.raises(SpecError):
                rig.deployer().plan(model, bad)


def _deployment(model: Model, name: str, wish: dict[str, Any]) -> Any:
    from clouddeploy.spec import Deployment

    return Deployment(name=name, model=model, **wish)
