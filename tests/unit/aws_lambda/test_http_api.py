"""The HTTP API in front of the alias, with and without a URL beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from clouddeploy.errors import DeployFailed, SpecError
from clouddeploy.model import Model
from clouddeploy.providers.aws_lambda.api_permission import STATEMENT
from clouddeploy.spec import Access
from clouddeploy.testing.faults import losing_once
from tests.unit.aws.test_client import refusal
from tests.unit.aws_lambda.conftest import WISH, Bench
from tests.unit.aws_lambda.fake_lambda import ACCOUNT, REGION

PAGES = Access(cors_origins=("https://app.example.com",))
API = {"http_api": True}


def apis(bench: Bench) -> list[dict[str, Any]]:
    """Every API there is."""
    found: list[dict[str, Any]] = bench.cloud("apigatewayv2", "GetApis", {})["Items"]
    return found


def parts(bench: Bench, operation: str) -> list[dict[str, Any]]:
    """What the one API has."""
    (api,) = apis(bench)
    found: list[dict[str, Any]] = bench.cloud("apigatewayv2", operation, {"ApiId": api["ApiId"]})["Items"]
    return found


def statements(bench: Bench) -> dict[str, Any]:
    """The alias's policy by statement id."""
    return dict(bench.cloud.functions["digits"]["policy"].get("live", {}))


def test_an_api_leads_to_the_alias_and_takes_signed_requests(bench: Bench, model: Model) -> None:
    bench.deployer(**API).deploy(model, "digits", tags={"team": "vision"}, access=PAGES, **WISH)
    (api,) = apis(bench)
    assert api["Tags"] == {"team": "vision", "clouddeploy:deployment": "digits"}
    assert api["CorsConfiguration"]["AllowOrigins"] == ["https://app.example.com"]
    (route,) = parts(bench, "GetRoutes")
    (integration,) = parts(bench, "GetIntegrations")
    (stage,) = parts(bench, "GetStages")
    assert (route["RouteKey"], route["AuthorizationType"]) == ("$default", "AWS_IAM")
    assert route["Target"] == f"integrations/{integration['IntegrationId']}"
    assert integration["IntegrationUri"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:digits:live"
    assert integration["PayloadFormatVersion"] == "2.0"
    assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)
    source = statements(bench)[STATEMENT]["SourceArn"]
    assert source == f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api['ApiId']}/*/$default"
    assert bench.provider().describe("digits")["http_api"] == api["ApiEndpoint"]


def test_an_unchanged_deploy_with_an_api_changes_nothing(bench: Bench, model: Model) -> None:
    bench.deployer(**API).deploy(model, "digits", access=PAGES, **WISH)
    plan = bench.deployer(**API).plan(model, "digits", access=PAGES, **WISH)
    assert not plan.changes, str(plan)


def test_an_api_keeps_its_address_when_access_pages_and_tags_change(bench: Bench, model: Model) -> None:
    bench.deployer(**API).deploy(model, "digits", access=PAGES, tags={"a": "1"}, **WISH)
    (before,) = apis(bench)
    open_to_all = Access(public=True)
    bench.deployer(**API).deploy(model, "digits", access=open_to_all, tags={"b": "2"}, **WISH)
    (after,) = apis(bench)
    assert after["ApiId"] == before["ApiId"]
    assert not after.get("CorsConfiguration")
    assert after["Tags"] == {"b": "2", "clouddeploy:deployment": "digits"}
    assert [r["AuthorizationType"] for r in parts(bench, "GetRoutes")] == ["NONE"]
    bench.deployer(**API).deploy(model, "digits", access=PAGES, **WISH)
    assert [r["AuthorizationType"] for r in parts(bench, "GetRoutes")] == ["AWS_IAM"]
    assert apis(bench)[0]["CorsConfiguration"]["AllowOrigins"] == ["https://app.example.com"]


def test_an_api_goes_when_it_is_no_longer_wished_for_and_with_a_delete(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    bare = bench.inventory()
    bench.deployer(**API).deploy(model, "digits", **WISH)
    assert bench.inventory() != bare
    bench.deployer().deploy(model, "digits", **WISH)
    assert bench.inventory() == bare
    assert statements(bench) == {}
    bench.deployer(**API).deploy(model, "digits", **WISH)
    bench.deployer().delete("digits")
    assert bench.inventory() == {}


def test_an_api_may_be_the_only_address(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    bench.deployer(url="none", **API).deploy(model, "digits", **WISH)
    assert bench.cloud.functions["digits"]["url"] == {}
    told = bench.provider().describe("digits")
    assert (told["url"], bool(told["http_api"])) == ("", True)
    bench.deployer().deploy(model, "digits", **WISH)
    assert list(bench.cloud.functions["digits"]["url"]) == ["live"]
    assert apis(bench) == []


def test_an_unknown_kind_of_url_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match="'none'"):
        Bench("", None).provider(url="non")  # type: ignore[arg-type]


def test_what_has_no_name_of_its_own_is_made_once_though_every_answer_is_lost(
    bench: Bench, model: Model
) -> None:
    deployer = bench.deployer(**API)
    lost = losing_once(deployer.provider, lambda operation: operation.startswith("Create"))
    deployer.deploy(model, "digits", **WISH)
    assert {"CreateApi", "CreateIntegration", "CreateRoute", "CreateStage"} <= lost
    for operation in ("GetRoutes", "GetIntegrations", "GetStages"):
        assert len(parts(bench, operation)) == 1


def test_two_apis_of_ours_become_one_that_may_invoke_the_function(bench: Bench, model: Model) -> None:
    bench.deployer(**API).deploy(model, "digits", **WISH)
    (first,) = apis(bench)
    same = {"Name": first["Name"], "ProtocolType": "HTTP", "Tags": first["Tags"]}
    bench.cloud("apigatewayv2", "CreateApi", same)
    bench.deployer(**API).deploy(model, "digits", **WISH)
    (left,) = apis(bench)
    assert left["ApiId"] in statements(bench)[STATEMENT]["SourceArn"]


def test_an_api_of_that_name_that_is_not_ours_is_left_alone(bench: Bench, model: Model) -> None:
    theirs = bench.cloud("apigatewayv2", "CreateApi", {"Name": "clouddeploy-digits", "ProtocolType": "HTTP"})
    bench.deployer(**API).deploy(model, "digits", **WISH)
    bench.deployer(**API).delete("digits")
    assert [a["ApiId"] for a in apis(bench)] == [theirs["ApiId"]]


def test_an_api_that_was_removed_by_others_comes_back_with_a_permission_of_its_own(
    bench: Bench, model: Model
) -> None:
    bench.deployer(**API).deploy(model, "digits", **WISH)
    (old,) = apis(bench)
    bench.cloud("apigatewayv2", "DeleteApi", {"ApiId": old["ApiId"]})
    bench.deployer(**API).deploy(model, "digits", **WISH)
    (new,) = apis(bench)
    assert new["ApiId"] in statements(bench)[STATEMENT]["SourceArn"]


def test_a_refused_api_fails_the_deploy_with_the_action_it_takes_and_leaves_nothing(
    bench: Bench, model: Model
) -> None:
    def before(_: str, operation: str, __: Mapping[str, Any]) -> None:
        if operation == "CreateIntegration":
            raise refusal("AccessDeniedException", "not allowed")

    with pytest.raises(DeployFailed) as caught:
        bench.deployer(before, **API).deploy(model, "digits", **WISH)
    assert "apigateway:POST" in str(caught.value)
    assert bench.inventory() == {}


def test_the_policy_for_those_who_deploy_names_the_methods_of_api_gateway() -> None:
    from clouddeploy.providers.aws_lambda import Lambda

    actions = json.dumps(Lambda.permissions())
    for method in ("GET", "POST", "PATCH", "DELETE"):
        assert f'"apigateway:{method}"' in actions
    assert "apigatewayv2" not in actions
