"""Everything that exists in a project of the embedded Google Cloud, as text: what a test compares."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

GOOGLES_OWN = "gcf-artifacts"
"""The repository that Cloud Functions makes for itself and shares between all functions of a region."""


@dataclass(frozen=True)
class GoogleCloud:
    """One project and region, read over the REST APIs.

    Args:
        url: where the embedded Google Cloud answers.
        project: the project.
        region: the region.
    """

    url: str
    project: str
    region: str

    def inventory(self) -> dict[str, str]:
        """``kind/name`` mapped to the state that matters."""
        return dict(
            [*self._storage(), *self._functions(), *self._services(), *self._accounts(), *self._others()]
        )

    def _get(self, path: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}{path}", headers={"Authorization": "Bearer embedded-cloud"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {}
            raise
        return found

    @property
    def _here(self) -> str:
        return f"projects/{self.project}/locations/{self.region}"

    def _storage(self) -> Iterator[tuple[str, str]]:
        for bucket in self._get(f"/storage/v1/b?project={self.project}").get("items", ()):
            name = bucket["name"]
            yield f"bucket/{name}", ""
            for item in self._get(f"/storage/v1/b/{name}/o").get("items", ()):
                lock = item["name"].endswith("lock.json")
                yield f"object/{name}/{item['name']}", "" if lock else item["crc32c"]

    def _functions(self) -> Iterator[tuple[str, str]]:
        for function in self._get(f"/v2/{self._here}/functions").get("functions", ()):
            service = function.get("serviceConfig", {})
            state = [function["state"], function.get("labels"), service.get("maxInstanceCount")]
            yield f"function/{_last(function['name'])}", json.dumps(state, sort_keys=True)

    def _services(self) -> Iterator[tuple[str, str]]:
        for service in self._get(f"/v2/{self._here}/services").get("services", ()):
            name = _last(service["name"])
            revisions = self._get(f"/v2/{service['name']}/revisions").get("revisions", ())
            releases = {_last(revision["name"]): _release(revision) for revision in revisions}
            # Which release gets which share; whether it is named or just the latest makes no difference.
            shares = [
                (status.get("percent", 0), releases.get(_last(status.get("revision", "")), ""))
                for status in service.get("trafficStatuses", ())
                if status.get("percent")
            ]
            yield f"service/{name}", json.dumps([shares, service.get("ingress")])
            for release in releases.values():
                yield f"revision/{name}/{release}", ""
            policy = self._get(f"/v2/{service['name']}:getIamPolicy")
            for binding in policy.get("bindings", ()):
                yield f"binding/{name}/{binding['role']}", ",".join(sorted(binding["members"]))

    def _accounts(self) -> Iterator[tuple[str, str]]:
        for account in self._get(f"/v1/projects/{self.project}/serviceAccounts").get("accounts", ()):
            yield f"service-account/{account['email']}", ""

    def _others(self) -> Iterator[tuple[str, str]]:
        for repository in self._get(f"/v1/{self._here}/repositories").get("repositories", ()):
            if _last(repository["name"]) != GOOGLES_OWN:
                yield f"repository/{_last(repository['name'])}", ""
            for package in self._get(f"/v1/{repository['name']}/packages").get("packages", ()):
                versions = self._get(f"/v1/{package['name']}/versions").get("versions", ())
                yield f"package/{_last(package['name'])}", str(len(versions))
        for policy in self._get(f"/v3/projects/{self.project}/alertPolicies").get("alertPolicies", ()):
            yield f"alert-policy/{policy['displayName']}", ""


def _last(name: str) -> str:
    return urllib.parse.unquote(name.rpartition("/")[2])


def _release(revision: dict[str, Any]) -> str:
    """The release that a revision says it is; its own name where it says none."""
    for container in revision.get("containers", ()):
        for variable in container.get("env", ()):
            if variable["name"] == "CLOUDDEPLOY_RELEASE":
                return str(variable["value"])
    return _last(revision["name"])
