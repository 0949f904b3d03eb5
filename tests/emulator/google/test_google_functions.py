"""Functions from upload to deletion, by Google's own client."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from google.api_core import exceptions

from tests.emulator.google.conftest import LOCATION, MAIN, REGION, Rig, archive


def until_done(operation: Any) -> Any:
    """The operation's metadata once it has ended, whichever way."""
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        operation.result(timeout=120)
    return caught.value


def update(google: Rig, name: str, mask: str, **fields: Any) -> Any:
    """Begin to change a function."""
    return google.functions.update_function(
        request={"function": {"name": name, **fields}, "update_mask": mask}
    )


def test_a_function_is_created_becomes_active_answers_and_is_gone_after_deletion(google: Rig) -> None:
    name = google.fresh()
    request = {"parent": LOCATION, "function_id": name, "function": google.function()}
    operation = google.functions.create_function(request=request)
    made = operation.result(timeout=120)
    assert made.state.name == "ACTIVE"
    assert made.url == made.service_config.uri == f"{google.url}/_run/embedded/{REGION}/{name}"
    assert [s.name.name for s in operation.metadata.stages] == ["ARTIFACT_REGISTRY", "BUILD", "SERVICE"]
    assert {s.state.name for s in operation.metadata.stages} == {"COMPLETE"}
    assert operation.metadata.build_name == made.build_config.build
    answer = google.ask(f"{made.url}/v1?x=1", b'{"inputs": [1]}', token="embedded-cloud")
    assert answer.status == 200
    assert answer.json["body"] == {"inputs": [1]}
    assert answer.json["path"] == "/v1"
    assert answer.json["env"]["K_SERVICE"] == name
    google.policy(made.service_config.service, "allUsers")
    google.functions.delete_function(name=made.name).result(timeout=60)
    with pytest.raises(exceptions.NotFound):
        google.functions.get_function(name=made.name)
    with pytest.raises(exceptions.NotFound):
        google.services.get_service(name=made.service_config.service)
    assert google.ask(made.url, b"{}", token="embedded-cloud").status == 404
    assert google.call("GET", f"/v2/{made.service_config.service}:getIamPolicy").status == 404


def test_defaults_are_those_of_the_second_generation(google: Rig) -> None:
    made = google.create()
    config = made.service_config
    assert (config.timeout_seconds, config.available_memory, config.available_cpu) == (60, "256M", "0.167")
    assert (config.max_instance_count, config.max_instance_request_concurrency) == (100, 1)
    assert config.all_traffic_on_latest_revision
    assert made.environment.name == "GEN_2"


def test_labels_and_environment_reach_the_run_service(google: Rig) -> None:
    function = {**google.function(environment_variables={"GREETING": "hi"}), "labels": {"team": "a"}}
    request = {"parent": LOCATION, "function_id": google.fresh(), "function": function}
    made = google.functions.create_function(request=request).result(timeout=120)
    service = google.services.get_service(name=made.service_config.service)
    assert service.labels["team"] == "a"
    assert service.labels["goog-managed-by"] == "cloudfunctions"
    assert google.ask(made.url, b"{}", token="embedded-cloud").json["env"]["GREETING"] == "hi"


def test_a_mask_changes_what_it_names_and_leaves_the_rest(google: Rig) -> None:
    made = google.create(environment_variables={"GREETING": "hi"}, max_instance_count=7)
    changed = update(
        google, made.name, "serviceConfig.timeoutSeconds", service_config={"timeout_seconds": 90}
    ).result(timeout=120)
    assert changed.service_config.timeout_seconds == 90
    assert changed.service_config.max_instance_count == 7
    assert dict(changed.service_config.environment_variables) == {"GREETING": "hi"}
    assert changed.service_config.revision != made.service_config.revision


def test_a_syntax_error_fails_the_build_with_its_line_and_the_function_says_why(google: Rig) -> None:
    name = google.fresh()
    bad = google.function(archive("def predict(request):\n    return (\n"))
    operation = google.functions.create_function(
        request={"parent": LOCATION, "function_id": name, "function": bad}
    )
    error = until_done(operation)
    assert "Build failed with status: FAILURE" in str(error)
    assert "main.py" in str(error)
    assert "SyntaxError" in str(error)
    found = google.functions.get_function(name=f"{LOCATION}/functions/{name}")
    assert found.state.name == "FAILED"
    assert found.state_messages[0].type_ == "BuildFailed"
    build = found.build_config.build.rpartition("/")[2]
    lines = google.call(
        "POST",
        "/v2/entries:list",
        {
            "resourceNames": ["projects/embedded"],
            "filter": f'resource.type="build" resource.labels.build_id="{build}" severity>=ERROR',
        },
    ).json["entries"]
    assert any("SyntaxError" in e["textPayload"] for e in lines)


def test_a_source_without_main_py_or_that_does_not_exist_fails_the_build(google: Rig) -> None:
    def error_of(function: dict[str, Any]) -> str:
        request = {"parent": LOCATION, "function_id": google.fresh(), "function": function}
        return str(until_done(google.functions.create_function(request=request)))

    empty = google.function()
    empty["build_config"]["source"]["storage_source"]["generation"] = 1
    assert "doesn't exist" in error_of(empty)
    no_zip = google.function(b"no zip")
    assert "zip" in error_of(no_zip)


def test_when_an_update_fails_the_old_revision_serves_on(google: Rig) -> None:
    made = google.create(environment_variables={"GREETING": "old"})
    broken = google.upload(archive("import nowhere\n"))
    error = until_done(
        update(
            google,
            made.name,
            "buildConfig.source,serviceConfig.environmentVariables",
            build_config={"source": {"storage_source": broken}},
            service_config={"environment_variables": {"GREETING": "new"}},
        )
    )
    assert "Container Healthcheck failed" in str(error)
    assert "failed to start and listen on the port" in str(error)
    found = google.functions.get_function(name=made.name)
    assert found.state.name == "ACTIVE"
    assert dict(found.service_config.environment_variables) == {"GREETING": "old"}
    assert google.ask(made.url, b"{}", token="embedded-cloud").json["env"]["GREETING"] == "old"
    service = google.services.get_service(name=made.service_config.service)
    assert service.terminal_condition.state.name == "CONDITION_FAILED"
    assert service.latest_ready_revision.endswith(made.service_config.revision)
    assert service.latest_created_revision != service.latest_ready_revision
    logs = google.call(
        "POST",
        "/v2/entries:list",
        {
            "resourceNames": ["projects/embedded"],
            "filter": f'resource.labels.service_name="{made.name.rpartition("/")[2]}" "ModuleNotFoundError"',
        },
    ).json
    assert logs["entries"]


def test_a_pinned_traffic_split_outlives_an_update_that_asks_for_it(google: Rig) -> None:
    made = google.create()
    service = made.service_config.service
    target = {
        "type_": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
        "revision": made.service_config.revision,
        "percent": 100,
    }
    google.services.update_service(
        request={"service": {"name": service, "traffic": [target]}, "update_mask": "traffic"}
    ).result(timeout=60)
    source = google.upload(archive(MAIN.format(mark="two")))
    changed = update(
        google,
        made.name,
        "buildConfig.source,serviceConfig.allTrafficOnLatestRevision",
        build_config={"source": {"storage_source": source}},
        service_config={"all_traffic_on_latest_revision": False},
    ).result(timeout=120)
    assert not changed.service_config.all_traffic_on_latest_revision
    assert google.ask(made.url, b"{}", token="embedded-cloud").json["mark"] == "one"
    latest = update(
        google,
        made.name,
        "serviceConfig.allTrafficOnLatestRevision",
        service_config={"all_traffic_on_latest_revision": True},
    ).result(timeout=120)
    assert latest.service_config.all_traffic_on_latest_revision
    assert google.ask(made.url, b"{}", token="embedded-cloud").json["mark"] == "two"


def test_a_function_that_changes_refuses_another_change(google: Rig, settings: Callable[..., None]) -> None:
    made = google.create()
    settings(operation_s=0.6)
    operation = update(
        google, made.name, "serviceConfig.timeoutSeconds", service_config={"timeout_seconds": 90}
    )
    assert google.functions.get_function(name=made.name).state.name == "DEPLOYING"
    for change in (
        partial(update, google, made.name, "labels", labels={"a": "b"}),
        partial(google.functions.delete_function, name=made.name),
    ):
        with pytest.raises(exceptions.Conflict, match="unable to queue the operation"):
            change()
    assert operation.result(timeout=60).service_config.timeout_seconds == 90


def test_an_operation_may_hang_until_the_setting_is_taken_back(
    google: Rig, settings: Callable[..., None]
) -> None:
    settings(stuck_operations=1)
    name = google.fresh()
    request = {"parent": LOCATION, "function_id": name, "function": google.function()}
    operation = google.functions.create_function(request=request)
    assert not operation.done()
    assert google.functions.get_function(name=f"{LOCATION}/functions/{name}").state.name == "DEPLOYING"
    google.create()
    settings(stuck_operations=0)
    assert operation.result(timeout=60).state.name == "ACTIVE"


def test_the_source_may_be_an_object_of_ones_own_in_one_generation(google: Rig) -> None:
    bucket = google.storage.create_bucket(google.fresh("sources"), location=REGION)
    blob = bucket.blob("source.zip")
    blob.upload_from_string(archive())
    place = {"bucket": bucket.name, "object_": blob.name, "generation": blob.generation}
    function = google.function()
    function["build_config"]["source"] = {"storage_source": place}
    request = {"parent": LOCATION, "function_id": google.fresh(), "function": function}
    made = google.functions.create_function(request=request).result(timeout=60)
    assert made.build_config.source_provenance.resolved_storage_source.generation == blob.generation
    place["generation"] += 1
    request = {"parent": LOCATION, "function_id": google.fresh(), "function": function}
    assert "doesn't exist" in str(until_done(google.functions.create_function(request=request)))


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (
            {"available_memory": "8Gi", "available_cpu": "1"},
            "For 1.0 CPU, memory must be between 128Mi and 4Gi",
        ),
        ({"max_instance_request_concurrency": 8}, "Total cpu < 1 is not supported with concurrency > 1"),
        ({"available_cpu": "3"}, "Invalid value specified for cpu"),
        ({"available_memory": "lots"}, "Invalid value specified for memory"),
        ({"timeout_seconds": 3601}, "timeout"),
        ({"min_instance_count": 5, "max_instance_count": 2}, "Min instances 5"),
        ({"environment_variables": {"K_SERVICE": "x"}}, "reserved"),
        ({"service_account_email": "nobody@embedded.iam.gserviceaccount.com"}, "iam.serviceaccounts.actAs"),
        ({"available_memory": "8Gi", "available_cpu": "2", "max_instance_request_concurrency": 1001}, "1000"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_before_anything_is_made(
    google: Rig, service: dict[str, Any], words: str
) -> None:
    name = google.fresh()
    request = {"parent": LOCATION, "function_id": name, "function": google.function(**service)}
    with pytest.raises(
        (exceptions.InvalidArgument, exceptions.Forbidden, exceptions.BadRequest), match=words
    ):
        google.functions.create_function(request=request)
    with pytest.raises(exceptions.NotFound):
        google.functions.get_function(name=f"{LOCATION}/functions/{name}")


@pytest.mark.parametrize("name", ["Digits", "digits_1", "-digits", "digits-", "1digits", "d" * 64])
def test_a_name_that_breaks_the_rules_is_refused(google: Rig, name: str) -> None:
    request = {"parent": LOCATION, "function_id": name, "function": {}}
    with pytest.raises(exceptions.BadRequest, match="function_id"):
        google.functions.create_function(request=request)


def test_an_unknown_field_or_parameter_is_named(google: Rig) -> None:
    body = {"serviceConfig": {"memory": "1G"}}
    answer = google.call("POST", f"/v2/{LOCATION}/functions?functionId={google.fresh()}", body)
    assert answer.status == 400
    error = answer.json["error"]
    assert error["status"] == "INVALID_ARGUMENT"
    assert "Unknown name \"memory\" at 'function.service_config': Cannot find field." in error["message"]
    wrong = google.call("POST", f"/v2/{LOCATION}/functions?function_name=x", {})
    assert 'Unknown name "function_name"' in wrong.json["error"]["message"]
    typed = google.call(
        "POST", f"/v2/{LOCATION}/functions?functionId=x", {"serviceConfig": {"timeoutSeconds": "soon"}}
    )
    assert "Invalid value at 'function.service_config.timeout_seconds'" in typed.json["error"]["message"]


def test_a_second_function_of_a_name_is_refused(google: Rig) -> None:
    made = google.create()
    request = {"parent": LOCATION, "function_id": made.name.rpartition("/")[2], "function": google.function()}
    with pytest.raises(exceptions.Conflict, match="already exists"):
        google.functions.create_function(request=request)


def test_functions_are_listed_in_pages_and_across_locations(google: Rig) -> None:
    made = {google.create().name for _ in range(2)}
    listed = google.functions.list_functions(
        request={"parent": "projects/embedded/locations/-", "page_size": 1}
    )
    assert made <= {f.name for f in listed}


def test_a_new_service_account_may_be_refused_at_first(google: Rig, settings: Callable[..., None]) -> None:
    settings(account_ready_after_calls=1)
    account = google.call(
        "POST", "/v1/projects/embedded/serviceAccounts", {"accountId": google.fresh("sa")[:30]}
    ).json["email"]
    with pytest.raises(exceptions.Forbidden, match="actAs"):
        google.create(service_account_email=account)
    made = google.create(service_account_email=account)
    assert made.service_config.service_account_email == account
    host = google.ask(made.url, b"{}", token="embedded-cloud").json["env"]["GCE_METADATA_HOST"]
    token = google.ask(
        f"http://{host}/computeMetadata/v1/instance/service-accounts/default/identity?audience=x",
        headers={"Metadata-Flavor": "Google"},
    )
    assert token.body.decode() == f"embedded-cloud:{account}"


def test_build_artifacts_stay_until_they_are_deleted(google: Rig) -> None:
    made = google.create()
    google.functions.delete_function(name=made.name).result(timeout=60)
    repository = f"/v1/{LOCATION}/repositories/gcf-artifacts"
    names = [p["name"] for p in google.call("GET", f"{repository}/packages?pageSize=1000").json["packages"]]
    own = made.name.rpartition("/")[2].replace("-", "--")
    package = next(n for n in names if n.endswith(f"__{own}"))
    versions = google.call("GET", f"/v1/{package}/versions").json["versions"]
    assert (
        google.call("DELETE", f"/v1/{versions[0]['name']}").json["error"]["status"] == "FAILED_PRECONDITION"
    )
    deleted = google.call("DELETE", f"/v1/{package}").json
    assert google.call("GET", f"/v1/{deleted['name']}").json["done"]
    assert google.call("GET", f"/v1/{package}/versions").status == 404
