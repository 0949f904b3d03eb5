"""From nothing to a function and back, each step by the calls that it takes."""

from __future__ import annotations

from collections import Counter

import pytest

from clouddeploy.errors import CloudDeployError, NotFound, SpecError
from clouddeploy.model import Model
from clouddeploy.spec import Access, Autoscaling
from tests.unit.cloud_functions.conftest import MANY, NAME, WISH, Bench

UPDATE = ["InsertObject", "InsertObject", "UpdateService", "UpdateFunction", "UpdateService"]


def releases(bench: Bench) -> list[str]:
    """The release of each revision, oldest first."""
    return [
        variable["value"]
        for revision in bench.cloud.revisions.values()
        for variable in revision["containers"][0]["env"]
        if variable["name"] == "CLOUDDEPLOY_RELEASE"
    ]


def served(bench: Bench) -> dict[str, int]:
    """Percent of the requests by revision name, as the service is set."""
    return {t.get("revision", "latest"): t["percent"] for t in bench.service()["traffic"]}


def test_a_first_deploy_takes_no_more_calls_than_gcloud(bench: Bench, model: Model) -> None:
    endpoint = bench.deployer().deploy(model, NAME, **WISH)
    assert [m for _, m in bench.calls if m != "GetOperation"] == [
        "GetFunction",
        "ListBuckets",
        "CreateBucket",
        "InsertObject",
        "InsertObject",
        "CreateServiceAccount",
        "CreateFunction",
        "GetService",
        "ListRevisions",
        "InsertObject",
    ]
    assert endpoint.status().phase == "ready"
    assert endpoint.status().release == releases(bench)[0]


def test_the_function_is_made_as_wished(bench: Bench, model: Model) -> None:
    access = Access(cors_origins=("https://example.com",))
    bench.deployer(ingress="internal").deploy(
        model, NAME, **WISH, autoscaling=MANY, access=access, env={"A": "b"}, tags={"team": "ml"}
    )
    function = bench.function()
    service, build = function["serviceConfig"], function["buildConfig"]
    assert function["labels"]["team"] == "ml"
    assert function["labels"]["clouddeploy-deployment"] == NAME
    assert build["runtime"] == "python313"
    assert build["entryPoint"] == "predict"
    assert build["source"]["storageSource"]["generation"]
    assert service["availableMemory"] == "512Mi"
    assert service["availableCpu"] == "1"
    assert service["maxInstanceRequestConcurrency"] == 14
    assert (service["minInstanceCount"], service["maxInstanceCount"]) == (1, 20)
    assert service["environmentVariables"] == {
        "A": "b",
        "GOOGLE_CLOUD_PROJECT": "embedded",
        "THREADS": "14",
        "CLOUDDEPLOY_CORS_ORIGINS": "https://example.com",
        "CLOUDDEPLOY_RELEASE": function["labels"]["clouddeploy-release"],
    }
    assert service["ingressSettings"] == "ALLOW_INTERNAL_ONLY"
    assert service["serviceAccountEmail"].startswith("cd-digits-")
    assert service["timeoutSeconds"] == 20


def test_an_unchanged_deploy_changes_nothing(bench: Bench, model: Model) -> None:
    wish = {**WISH, "autoscaling": MANY, "access": Access(public=True), "tags": {"team": "ml"}}
    bench.deployer().deploy(model, NAME, **wish)
    deployer = bench.deployer()
    plan = deployer.plan(model, NAME, **wish)
    assert not plan.changes, str(plan)
    deployer.deploy(model, NAME, **wish)
    assert bench.changing() == []


def test_an_update_pins_builds_and_then_moves_the_traffic(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH)
    endpoint = bench.deployer().deploy(newer, NAME, **WISH)
    assert [m for m in bench.changing() if m in UPDATE] == [*UPDATE, "InsertObject"]
    old, new = releases(bench)
    assert endpoint.status().release == new
    assert endpoint.traffic == {new: 100}
    assert endpoint.releases() == [new, old]
    (source,) = [k for k in bench.inventory() if k.endswith("function.zip")]
    assert bench.function()["labels"]["clouddeploy-digest"] in source


def test_older_releases_than_those_kept_go_with_their_images(
    bench: Bench, model: Model, newer: Model
) -> None:
    for memory_mb in (1, 2, 3):
        bench.deployer().deploy(model, NAME, **WISH, env={"N": str(memory_mb)})
    assert len(releases(bench)) == 2
    assert len(next(iter(bench.cloud.packages.values())).versions) == 2
    bench.deployer().deploy(newer, NAME, **WISH, keep_releases=0)
    assert len(releases(bench)) == 1
    assert not bench.deployer().plan(newer, NAME, **WISH, keep_releases=0).changes


def test_a_kept_release_deployed_anew_is_there_once(bench: Bench, model: Model, newer: Model) -> None:
    for one in (model, newer, model, newer, model):
        bench.deployer().deploy(one, NAME, **WISH)
    assert sorted(Counter(releases(bench)).values()) == [1, 1]
    assert not bench.deployer().plan(model, NAME, **WISH).changes


def test_rollback_moves_the_traffic_and_builds_nothing(bench: Bench, model: Model, newer: Model) -> None:
    old = bench.deployer().deploy(model, NAME, **WISH).status().release
    new = bench.deployer().deploy(newer, NAME, **WISH).status().release
    back = bench.deployer().rollback(NAME)
    assert [m for m in bench.changing() if m != "InsertObject"] == ["UpdateService"]
    assert back.status().release == old
    assert bench.deployer().rollback(NAME, new[:4]).status().release == new
    with pytest.raises(NotFound, match="no kept release 0123"):
        bench.deployer().rollback(NAME, "0123")


def test_a_deploy_of_the_newest_release_after_a_rollback_moves_the_traffic_again(
    bench: Bench, model: Model, newer: Model
) -> None:
    bench.deployer().deploy(model, NAME, **WISH)
    new = bench.deployer().deploy(newer, NAME, **WISH).status().release
    bench.deployer().rollback(NAME)
    again = bench.deployer().deploy(newer, NAME, **WISH)
    assert "UpdateFunction" not in bench.changing()
    assert again.traffic == {new: 100}


def test_shares_are_percents_of_releases(bench: Bench, model: Model, newer: Model) -> None:
    old = bench.deployer().deploy(model, NAME, **WISH).status().release
    endpoint = bench.deployer().deploy(newer, NAME, **WISH)
    new = endpoint.status().release
    endpoint.split({new: 10, old: 90})
    assert endpoint.traffic == {new: 10, old: 90}
    assert sorted(served(bench).values()) == [10, 90]
    bench.deployer().deploy(newer, NAME, **WISH)
    assert endpoint.traffic == {new: 100}


def test_another_number_of_copies_is_no_other_release(bench: Bench, model: Model) -> None:
    endpoint = bench.deployer().deploy(model, NAME, **WISH, autoscaling=MANY)
    before = endpoint.status().release
    more = Autoscaling(min=2, max=40, concurrency=16)
    bench.deployer().endpoint(NAME).scale(more)
    assert "UpdateFunction" in bench.changing()
    assert endpoint.status().release == before
    assert endpoint.traffic == {before: 100}
    plan = bench.deployer().plan(model, NAME, **WISH, autoscaling=more)
    assert not plan.changes, str(plan)
    assert releases(bench) == [before]
    (serving,) = served(bench)
    assert serving == bench.service()["latestReadyRevision"].rpartition("/")[2]
    with pytest.raises(SpecError, match="1,000 instances"):
        bench.deployer().endpoint(NAME).scale(Autoscaling(max=1001))


def test_a_concurrency_that_takes_a_whole_processor_is_no_matter_of_scaling(
    bench: Bench, model: Model
) -> None:
    bench.deployer().deploy(model, NAME, **WISH)
    with pytest.raises(SpecError, match=r"has 0\.333 CPU, and is to serve 14 requests at once"):
        bench.deployer().endpoint(NAME).scale(MANY)


def test_public_is_a_binding_that_goes_when_it_is_no_longer_asked_for(bench: Bench, model: Model) -> None:
    key = f"binding/{NAME}/roles/run.invoker"
    bench.deployer().deploy(model, NAME, **WISH)
    assert key not in bench.inventory()
    bench.deployer().deploy(model, NAME, **WISH, access=Access(public=True))
    assert bench.inventory()[key] == "allUsers"
    bench.deployer().deploy(model, NAME, **WISH)
    assert key not in bench.inventory()


def test_delete_leaves_nothing_but_the_repository_that_google_keeps(
    bench: Bench, model: Model, newer: Model
) -> None:
    bench.deployer().deploy(model, NAME, **WISH, access=Access(public=True))
    bench.deployer().deploy(newer, NAME, **WISH)
    bench.deployer().delete(NAME)
    assert not bench.inventory()
    assert bench.deployer().endpoint(NAME).status().phase == "missing"
    bench.deployer().delete(NAME)
    assert bench.changing() == []


def test_what_runs_is_listed_described_and_called(bench: Bench, model: Model) -> None:
    endpoint = bench.deployer().deploy(model, NAME, **WISH)
    (row,) = bench.deployer().list()
    assert (row.name, row.target, row.phase, row.release) == (
        NAME,
        "cloud-functions",
        "ready",
        endpoint.status().release,
    )
    assert endpoint.describe()["url"].endswith(f"/_run/embedded/europe-west1/{NAME}")
    assert endpoint.predict_raw(b"{}").body.startswith(f"{model.digest[:12]} 3.13 onnx".encode())
    assert set(endpoint.metrics()) == {"requests", "errors_4xx", "errors_5xx", "latency_ms"}
    assert [line.rpartition(" 200 ")[0] for line in endpoint.logs()] == [
        f"POST /_run/embedded/europe-west1/{NAME}"
    ]


def test_nothing_runs_where_nothing_was_deployed(bench: Bench) -> None:
    for act in (
        lambda d: d.rollback(NAME),
        lambda d: d.endpoint(NAME).traffic,
        lambda d: d.scale(NAME, MANY),
    ):
        with pytest.raises(CloudDeployError, match="nothing runs under 'digits'"):
            act(bench.deployer())
