"""Bindings, service accounts and secrets, on policies kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from clouddeploy.errors import CloudError, CredentialsError, NameConflict
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.iam import Access, Binding, PolicyOf
from clouddeploy.providers.gcp.secrets import accessor
from clouddeploy.providers.gcp.service_account import ServiceAccount, account_id, address
from clouddeploy.providers.gcp.survey import Survey
from tests.unit.gcp.breaking import Losing
from tests.unit.gcp.refusals import refusal

SERVICE = "projects/p/locations/europe-west1/services/digits"
INVOKER = Binding("roles/run.invoker", "allUsers")
FOREIGN: dict[str, Any] = {"role": "roles/run.invoker", "members": ["user:ann@example.org"]}
CONDITIONAL: dict[str, Any] = {
    "role": "roles/run.invoker",
    "members": ["user:bob@example.org"],
    "condition": {"title": "until June", "expression": "request.time < timestamp('2027-06-01T00:00:00Z')"},
}


class Project:
    """Policies and service accounts in memory, with etags that are checked."""

    def __init__(self) -> None:
        self.policies: dict[str, dict[str, Any]] = {SERVICE: {"bindings": [], "version": 1}}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.between: Callable[[], None] = lambda: None
        self.version = 0

    def __call__(self, service: str, method: str, params: Mapping[str, Any]) -> Any:
        self.calls.append(method)
        if method == "GetIamPolicy":
            return {**self._policy(params), "etag": str(self.version)}
        if method == "SetIamPolicy":
            return self._set(params)
        if method == "ListBuckets":
            return {}
        return self._account(method, params)

    def _policy(self, params: Mapping[str, Any]) -> dict[str, Any]:
        found = self.policies.get(params.get("resource") or params["bucket"])
        if found is None:
            raise refusal(404, "no such resource", status="NOT_FOUND")
        return found

    def _set(self, params: Mapping[str, Any]) -> dict[str, Any]:
        self._policy(params)
        self.between()
        policy = dict(params.get("policy") or params["body"])
        if policy.pop("etag") != str(self.version):
            raise refusal(409, "There were concurrent policy changes.", status="ABORTED")
        self.version += 1
        self.policies[params.get("resource") or params["bucket"]] = policy
        return policy

    def _account(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if method == "CreateServiceAccount":
            name = f"{params['name']}/serviceAccounts/{address('p', params['accountId'])}"
            if name in self.accounts:
                raise refusal(409, "exists", status="ALREADY_EXISTS")
            self.accounts[name] = dict(params["serviceAccount"])
            return self.accounts[name]
        if params["name"] not in self.accounts:
            raise refusal(404, "Unknown service account", status="NOT_FOUND")
        return self.accounts.pop(params["name"]) if method[0] == "D" else self.accounts[params["name"]]


@pytest.fixture
def project() -> Project:
    return Project()


@pytest.fixture
def gcp(project: Project) -> Gcp:
    return Gcp(
        project="p", region="europe-west1", credentials="anonymous", transport=project, retry_delay_s=0
    )


@pytest.fixture
def policy(gcp: Gcp) -> PolicyOf:
    return PolicyOf(gcp, "run", SERVICE)


def test_a_binding_is_added_once_and_taken_away_again(project: Project, policy: PolicyOf) -> None:
    policy.add(INVOKER)
    policy.add(INVOKER)
    assert policy.has(INVOKER)
    assert project.calls.count("SetIamPolicy") == 1
    policy.remove(INVOKER)
    policy.remove(INVOKER)
    assert project.policies[SERVICE]["bindings"] == []
    assert project.calls.count("SetIamPolicy") == 2


def test_bindings_of_others_and_conditional_ones_are_kept(project: Project, policy: PolicyOf) -> None:
    project.policies[SERVICE]["bindings"] = [FOREIGN, CONDITIONAL]
    policy.add(INVOKER)
    kept = project.policies[SERVICE]
    assert kept["version"] == 3
    assert kept["bindings"] == [{**FOREIGN, "members": [*FOREIGN["members"], "allUsers"]}, CONDITIONAL]
    policy.remove(INVOKER)
    assert project.policies[SERVICE]["bindings"] == [FOREIGN, CONDITIONAL]


def test_a_conditional_binding_does_not_count_as_the_plain_one(project: Project, policy: PolicyOf) -> None:
    project.policies[SERVICE]["bindings"] = [{**CONDITIONAL, "members": ["allUsers"]}]
    assert not policy.has(INVOKER)
    policy.add(INVOKER)
    assert len(project.policies[SERVICE]["bindings"]) == 2


def test_somebody_who_was_quicker_loses_nothing(project: Project, policy: PolicyOf) -> None:
    def quicker() -> None:
        project.between = lambda: None
        project.policies[SERVICE]["bindings"] = [FOREIGN]
        project.version += 1

    project.between = quicker
    policy.add(INVOKER)
    assert project.policies[SERVICE]["bindings"][0]["members"] == ["user:ann@example.org", "allUsers"]


def test_somebody_who_is_always_quicker_is_told(project: Project, policy: PolicyOf) -> None:
    def quicker() -> None:
        project.version += 1

    project.between = quicker
    with pytest.raises(CloudError, match="concurrent"):
        policy.add(INVOKER)
    assert project.calls.count("SetIamPolicy") == 8


def test_a_lost_answer_to_the_writing_is_no_failure(project: Project, gcp: Gcp, policy: PolicyOf) -> None:
    Losing(gcp, "SetIamPolicy")
    policy.add(INVOKER)
    assert project.policies[SERVICE]["bindings"] == [{"role": INVOKER.role, "members": ["allUsers"]}]


def test_taking_away_from_what_is_gone_is_success_and_adding_to_it_is_not(project: Project, gcp: Gcp) -> None:
    gone = PolicyOf(gcp, "run", "projects/p/locations/l/services/gone")
    gone.remove(INVOKER)
    assert not gone.has(INVOKER)
    with pytest.raises(CloudError, match="no such resource"):
        gone.add(INVOKER)


def test_a_service_account_that_is_not_known_everywhere_yet_is_waited_for(
    project: Project, policy: PolicyOf
) -> None:
    refused = ["Service account cd-x@p.iam.gserviceaccount.com does not exist."] * 2

    def young() -> None:
        if refused:
            raise refusal(400, refused.pop(), status="INVALID_ARGUMENT")

    project.between = young
    policy.add(Binding("roles/run.invoker", "serviceAccount:cd-x@p.iam.gserviceaccount.com"))
    assert project.calls.count("SetIamPolicy") == 3


def test_access_is_a_resource_that_is_read_brought_about_and_removed(
    project: Project, policy: PolicyOf
) -> None:
    access = Access(policy, (INVOKER,), "digits")
    assert access.read() is None
    access.create(access.desired())
    assert access.read() == access.desired()
    other = Binding("roles/run.invoker", "user:bob@example.org")
    Access(policy, (other,), "digits").update(access.desired(), {"bindings": [[other.role, other.member]]})
    assert project.policies[SERVICE]["bindings"] == [{"role": other.role, "members": [other.member]}]
    Access(policy, (other,), "digits").delete()
    assert project.policies[SERVICE]["bindings"] == []
    assert "gcloud run services remove-iam-policy-binding digits" in access.removal


def test_a_buckets_policy_is_written_as_the_storage_api_takes_it(project: Project, gcp: Gcp) -> None:
    project.policies["ours"] = {"bindings": []}
    PolicyOf(gcp, "storage", "ours").add(Binding("roles/storage.objectViewer", "allUsers"))
    assert project.policies["ours"]["bindings"][0]["role"] == "roles/storage.objectViewer"


def test_a_secret_of_the_user_is_made_readable(project: Project, gcp: Gcp) -> None:
    name = "projects/p/secrets/token"
    project.policies[name] = {"bindings": []}
    access = accessor(gcp, "p", "token", "cd-x@p.iam.gserviceaccount.com")
    access.create(access.desired())
    members = ["serviceAccount:cd-x@p.iam.gserviceaccount.com"]
    assert project.policies[name]["bindings"] == [
        {"role": "roles/secretmanager.secretAccessor", "members": members}
    ]


@pytest.mark.parametrize("name", ["d", "digits", "a" * 63, "a" * 18 + "-" + "b" * 40, "Upper_Case"])
def test_ids_of_service_accounts_fit_the_rule_and_are_unique(name: str) -> None:
    import re

    found = account_id("cloud-functions", "europe-west1", name)
    assert re.fullmatch(r"[a-z](?:[-a-z0-9]{4,28}[a-z0-9])", found)
    assert found != account_id("cloud-run", "europe-west1", name)
    assert found != account_id("cloud-functions", "europe-west4", name)


def test_a_domain_scoped_projects_accounts_have_their_address() -> None:
    assert address("example.com:p", "cd-x") == "cd-x@p.example.com.iam.gserviceaccount.com"


def test_a_service_account_is_made_once_and_removed(project: Project, gcp: Gcp) -> None:
    survey = Survey(gcp, "b", "digits")
    account = ServiceAccount(gcp, survey, "cd-digits-abcdef", "digits")
    assert account.read() is None
    assert project.calls == ["ListBuckets"]
    Losing(gcp, "CreateServiceAccount")
    account.create(account.desired())
    account.create(account.desired())
    assert account.read() == account.desired()
    account.delete()
    account.delete()
    assert project.accounts == {}


def test_a_service_account_of_another_deployment_is_left_alone(project: Project, gcp: Gcp) -> None:
    survey = Survey(gcp, "b", "digits")
    other = ServiceAccount(gcp, survey, "cd-digits-abcdef", "letters")
    other.create(other.desired())
    ours = ServiceAccount(gcp, survey, "cd-digits-abcdef", "digits")
    for act in (ours.read, lambda: ours.create(ours.desired())):
        with pytest.raises(NameConflict, match="cd-digits-abcdef"):
            act()


def test_a_lacking_permission_is_no_missing_account(project: Project, gcp: Gcp) -> None:
    survey = Survey(gcp, "b", "digits")
    survey.spend()
    account = ServiceAccount(gcp, survey, "cd-digits-abcdef", "digits")

    def denying(service: str, method: str, params: Mapping[str, Any]) -> Any:
        raise refusal(403, "Permission 'iam.serviceAccounts.get' denied", status="PERMISSION_DENIED")

    gcp.transport = denying
    with pytest.raises(CredentialsError, match=r"iam\.serviceAccounts\.get"):
        account.read()
