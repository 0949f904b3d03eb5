"""A service from its first deploy to its removal, on the embedded control plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from clouddeploy.errors import DeployFailed, NameConflict, NotFound, NotSupported, SpecError
from clouddeploy.model import Model
from clouddeploy.spec import Access, Autoscaling, Deployment
from tests.unit.cloud_run.conftest import FULL, NAME, PROJECT, REGION, WISH, Bench


def test_a_first_deploy_makes_everything_and_a_removal_leaves_nothing(bench: Bench, model: Model) -> None:
    endpoint = bench.deployer().deploy(model, NAME, **FULL)
    assert bench.answer().startswith(model.digest[:12])
    assert endpoint.status().phase == "ready"
    kinds = {key.partition("/")[0] for key in bench.inventory()}
    assert kinds == {
        "binding",
        "bucket",
        "object",
        "package",
        "repository",
        "revision",
        "service",
        "service-account",
    }
    bench.deployer().delete(NAME)
    assert bench.inventory() == {}
    assert endpoint.status().phase == "missing"


def test_an_unchanged_deploy_changes_nothing(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, NAME, **FULL)
    before = bench.inventory()
    deployer = bench.deployer()
    assert not deployer.plan(model, NAME, **FULL).changes
    deployer.deploy(model, NAME, **FULL)
    assert bench.changing() == []
    assert bench.inventory() == before


def test_the_image_is_deployed_by_its_digest_and_runs_as_an_account_of_its_own(
    bench: Bench, model: Model
) -> None:
    described = bench.deployer().deploy(model, NAME, **WISH).describe()
    start = f"{bench.host()}/{PROJECT}/clouddeploy/{NAME}@sha256:"
    assert described["image"].startswith(start)
    assert described["service_account"].startswith(f"cd-{NAME}-")
    (spec,) = bench.plane.specs.values()
    assert list(spec.command) == ["python", "-m", "clouddeploy.server.container", "serve"]
    assert spec.env["CLOUDDEPLOY_SERVE_WORKERS"] == "1", "the model is in memory once"
    assert spec.workdir == "/app"


def test_an_update_gives_the_new_revision_no_request_before_it_is_ready(
    bench: Bench, model: Model, newer: Model
) -> None:
    bench.deployer().deploy(model, NAME, **WISH)
    seen: list[dict[str, int]] = []

    def look(service: str, method: str, params: object) -> None:
        if (service, method) == ("run", "ListRevisions") and len(bench.cloud.revisions) > 1:
            traffic = bench.service()["traffic"]
            seen.append({t["revision"]: t.get("percent", 0) for t in traffic})

    first = bench.deployer().endpoint(NAME).status().release
    bench.deployer(look).deploy(newer, NAME, **WISH)
    assert seen
    assert all(shares == {f"{NAME}-{first}": 100} for shares in seen)
    assert bench.answer().startswith(newer.digest[:12])


def test_a_revision_that_cannot_start_is_removed_and_the_old_one_serves_on(
    bench: Bench, model: Model, newer: Model
) -> None:
    bench.deployer().deploy(model, NAME, **FULL)
    before = bench.inventory()
    bench.plane.start_log = ("ImportError: no module named 'digits'",)
    with pytest.raises(DeployFailed) as caught:
        bench.deployer().deploy(newer, NAME, **FULL)
    assert "failed to start" in caught.value.why
    assert caught.value.log_tail[-1] == "ImportError: no module named 'digits'"
    assert bench.inventory() == before
    assert bench.answer().startswith(model.digest[:12])
    bench.plane.start_log = ()
    bench.deployer().deploy(newer, NAME, **FULL)
    assert bench.answer().startswith(newer.digest[:12])


def test_a_first_deploy_that_cannot_start_leaves_nothing(bench: Bench, model: Model) -> None:
    bench.plane.start_log = ("SyntaxError: invalid syntax",)
    with pytest.raises(DeployFailed, match="SyntaxError"):
        bench.deployer().deploy(model, NAME, **FULL)
    assert bench.inventory() == {}


def test_what_an_ended_deploy_left_failing_is_tried_again(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH)

    class Gone(BaseException):
        """The process died."""

    def die(service: str, method: str, params: object) -> None:
        if method == "GetOperation" and bench.plane.start_log:
            raise Gone

    bench.plane.start_log = ("out of luck",)
    provider = bench.provider(die)
    graph = provider.compile(Deployment(name=NAME, model=newer, **WISH))
    service = next(r for r in graph.resources if r.kind == "service")
    for resource in graph.resources:
        if resource.kind == "image":
            resource.create(resource.desired())
    actual = service.read()
    assert actual is not None
    with pytest.raises((Gone, DeployFailed)):  # the latter where the operation was quicker
        service.update(actual, service.desired())
    bench.plane.start_log = ()
    bench.deployer().deploy(newer, NAME, **WISH)
    assert bench.answer().startswith(newer.digest[:12])


def test_a_kept_release_comes_back_without_a_build(bench: Bench, model: Model, newer: Model) -> None:
    deployer = bench.deployer()
    first = deployer.deploy(model, NAME, **WISH).status().release
    endpoint = deployer.deploy(newer, NAME, **WISH)
    second = endpoint.status().release
    assert endpoint.releases() == [second, first]
    bench.calls.clear()
    endpoint.rollback()
    assert bench.changing() == ["InsertObject", "UpdateService", "InsertObject"]
    assert bench.answer().startswith(model.digest[:12])
    assert endpoint.traffic == {first: 100}
    with pytest.raises(NotFound, match="no kept release"):
        endpoint.rollback("0123456789")


def test_requests_are_divided_between_releases(bench: Bench, model: Model, newer: Model) -> None:
    deployer = bench.deployer()
    first = deployer.deploy(model, NAME, **WISH).status().release
    endpoint = deployer.deploy(newer, NAME, **WISH)
    second = endpoint.status().release
    endpoint.split({second: 10, first: 90})
    assert endpoint.traffic == {first: 90, second: 10}
    assert endpoint.status().release == first
    endpoint.split({second: 100})
    assert endpoint.traffic == {second: 100}


def test_releases_beyond_those_kept_go_with_their_images(bench: Bench, model: Model, newer: Model) -> None:
    deployer = bench.deployer()
    deployer.deploy(model, NAME, keep_releases=0, **WISH)
    deployer.deploy(newer, NAME, keep_releases=0, **WISH)
    assert len(bench.cloud.revisions) == 1
    assert bench.inventory()[f"package/{NAME}"] == "1"


def test_a_change_of_limits_makes_no_revision(bench: Bench, model: Model) -> None:
    endpoint = bench.deployer().deploy(model, NAME, **WISH)
    endpoint.scale(Autoscaling(min=2, max=7))
    assert bench.service()["scaling"] == {"minInstanceCount": 2, "maxInstanceCount": 7}
    assert len(bench.cloud.revisions) == 1
    with pytest.raises(NotSupported, match="concurrency"):
        endpoint.scale(Autoscaling(min=2, max=7, concurrency=3))
    with pytest.raises(NotSupported, match="instances"):
        endpoint.scale(Autoscaling(min=2, max=700))


def test_public_access_is_given_and_taken_away_and_other_bindings_stay(bench: Bench, model: Model) -> None:
    deployer = bench.deployer()
    deployer.deploy(model, NAME, **WISH)
    resource = bench.service()["name"]
    theirs = {"role": "roles/run.invoker", "members": ["user:ann@example.com"]}
    bench.transport("run", "SetIamPolicy", {"resource": resource, "policy": {"bindings": [theirs]}})
    deployer.deploy(model, NAME, access=Access(public=True), **WISH)
    policy = bench.transport("run", "GetIamPolicy", {"resource": resource})
    assert sorted(policy["bindings"][0]["members"]) == ["allUsers", "user:ann@example.com"]
    deployer.deploy(model, NAME, **WISH)
    policy = bench.transport("run", "GetIamPolicy", {"resource": resource})
    assert policy["bindings"] == [theirs]


def test_a_service_of_that_name_that_is_not_ours_is_left_alone(bench: Bench, model: Model) -> None:
    container = {"image": bench.push("theirs", "server", "somebody else's")}
    parent = f"projects/{PROJECT}/locations/{REGION}"
    service = {"template": {"containers": [container]}}
    bench.transport("run", "CreateService", {"parent": parent, "serviceId": NAME, "service": service})
    for act in (
        lambda: bench.deployer().deploy(model, NAME, **WISH),
        lambda: bench.deployer().rollback(NAME),
    ):
        with pytest.raises(NameConflict, match="isn't this deployment's"):
            act()
    bench.deployer().delete(NAME)
    assert list(bench.cloud.services) == [f"{parent}/services/{NAME}"]
    assert list(bench.deployer().list()) == []


def test_a_repository_of_that_name_that_is_not_ours_is_left_alone(bench: Bench, model: Model) -> None:
    parent = f"projects/{PROJECT}/locations/{REGION}"
    params = {"parent": parent, "repositoryId": "clouddeploy", "body": {"format": "DOCKER"}}
    bench.transport("artifactregistry", "CreateRepository", params)
    with pytest.raises(DeployFailed) as caught:
        bench.deployer().deploy(model, NAME, **WISH)
    assert "isn't clouddeploy's" in str(caught.value)
    assert list(bench.inventory()) == ["repository/clouddeploy"]
    bench.deployer(repository="clouddeploy").deploy(model, NAME, **WISH)
    bench.deployer(repository="clouddeploy").delete(NAME)
    assert list(bench.inventory()) == ["repository/clouddeploy"]


def test_the_repository_stays_while_another_deployment_uses_it(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH)
    bench.deployer().deploy(model, "letters", **WISH)
    bench.deployer().delete(NAME)
    assert "repository/clouddeploy" in bench.inventory()
    assert bench.deployer().endpoint("letters").predict_raw(b"{}").body.startswith(b"")
    bench.deployer().delete("letters")
    assert bench.inventory() == {}


def test_an_image_of_the_users_own_is_run_as_it_is(bench: Bench, model: Model) -> None:
    image = bench.push("mine", "server", "what the user made")
    before = bench.inventory()
    bench.deployer(image=image).deploy(model, NAME, **WISH)
    assert bench.service()["template"]["containers"][0]["image"] == image
    assert bench.answer() == "what the user made"
    bench.deployer().delete(NAME)
    assert bench.inventory() == before


def test_an_image_that_does_not_exist_is_refused_before_anything_is_made(bench: Bench, model: Model) -> None:
    with pytest.raises(SpecError, match="doesn't exist"):
        bench.deployer(image=f"{bench.host()}/library/python:9.9").deploy(model, NAME, **WISH)
    assert bench.inventory() == {}


def test_a_registry_that_denies_access_is_told_and_everything_is_undone(bench: Bench, model: Model) -> None:
    assert bench.cloud.registry is not None
    spaces = bench.cloud.registry.spaces
    spaces[:] = [replace(space, admits=lambda _a, _r, pushing: not pushing) for space in spaces]
    with pytest.raises(DeployFailed) as caught:
        bench.deployer().deploy(model, NAME, **WISH)
    assert "refuses access" in str(caught.value)
    assert bench.inventory() == {}


def test_an_account_that_is_not_known_everywhere_yet_is_waited_for(bench: Bench, model: Model) -> None:
    bench.set(account_ready_after_calls=2)
    bench.deployer(retry_delay_s=0).deploy(model, NAME, **WISH)
    assert bench.answer().startswith(model.digest[:12])


def test_a_secret_that_is_not_there_is_told_and_everything_is_undone(bench: Bench, model: Model) -> None:
    with pytest.raises(DeployFailed, match="token"):
        bench.deployer(secrets={"TOKEN": "token"}).deploy(model, NAME, **WISH)
    assert bench.inventory() == {}


def test_a_change_by_somebody_else_in_between_is_not_lost(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH)
    meddled: list[bool] = []

    def meddle(service: str, method: str, params: object) -> None:
        if method == "UpdateService" and not meddled:
            meddled.append(True)
            name = bench.service()["name"]
            given = {"service": {"name": name, "description": "theirs"}, "updateMask": "description"}
            bench.transport("run", "UpdateService", given)

    bench.deployer(meddle).deploy(newer, NAME, **WISH)
    assert bench.service()["description"] == "theirs"
    assert bench.answer().startswith(newer.digest[:12])


def test_the_wish_is_what_the_service_tells_afterwards(bench: Bench, wish: Callable[..., Deployment]) -> None:
    deployment = wish(**FULL, env={"MODE": "fast"}, tags={"team": "vision"})
    provider = bench.provider()
    bench.deployer().deploy(deployment.model, NAME, **FULL, env={"MODE": "fast"}, tags={"team": "vision"})
    service = next(r for r in provider.compile(deployment).resources if r.kind == "service")
    assert service.read() == service.desired()
