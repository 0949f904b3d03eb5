"""An HTTP API of API Gateway in front of the alias, and who may call it.

API Gateway Developer Guide: "HTTP APIs", "Create AWS Lambda proxy integrations for HTTP APIs", "Control
access to HTTP APIs with IAM authorization", "Configure CORS for HTTP APIs".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.settling import made_once
from clouddeploy.providers.aws_lambda.site import EXISTS, Site
from clouddeploy.providers.aws_lambda.url import CORS_HEADERS, CORS_MAX_AGE_S, CORS_METHODS

SERVICE = "apigatewayv2"
AUTH = {True: "NONE", False: "AWS_IAM"}
"""By whether the deployment is public."""
ROUTE = STAGE = "$default"
"""The route that takes every request, and the stage that has no part in the URL."""
GONE = frozenset({"NotFoundException"})


@dataclass(frozen=True)
class HttpApi:
    """The API with its one integration, route and stage, which go with it.

    Args:
        site: where it lives.
        auth: ``AWS_IAM`` or ``NONE``.
        origins: web origins whose pages may call it.
        tags: all its tags.
        needs: keys of what must exist before.
    """

    site: Site
    auth: str
    origins: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "HTTP API"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``http-api/<function>``."""
        return f"http-api/{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes it, once its id is known; a new one has another address."""
        return (
            f"aws apigatewayv2 delete-api --api-id <the ApiId of the one named '{names.api(self.site.name)}' "
            "in: aws apigatewayv2 get-apis>"
        )

    def desired(self) -> State:
        """Who may call it, which pages, and what it leads to."""
        cors = {
            "AllowOrigins": sorted(self.origins),
            "AllowMethods": CORS_METHODS,
            "AllowHeaders": CORS_HEADERS,
            "MaxAge": CORS_MAX_AGE_S,
        }
        return {
            "auth": self.auth,
            "cors": cors if self.origins else {},
            "tags": dict(self.tags),
            "leads_to": self.site.alias_arn,
            "deploys": True,
            "apis": 1,
        }

    def read(self) -> State | None:
        """As API Gateway has it; one that is half made has gaps."""
        found = [] if self.site.empty else find_apis(self.site)
        if not found:
            return None
        api = found[0]
        route = _route(self.site, api["ApiId"]) or {}
        stages = self._pages("GetStages", api["ApiId"])
        return {
            "auth": (route.get("AuthorizationType") or "NONE") if route else "",
            "cors": _cors(api.get("CorsConfiguration") or {}),
            "tags": {k: v for k, v in (api.get("Tags") or {}).items() if not k.startswith("aws:")},
            "leads_to": self._target(api["ApiId"], str(route.get("Target", ""))),
            "deploys": any(s["StageName"] == STAGE and s.get("AutoDeploy") for s in stages),
            "apis": len(found),
        }

    def _pages(self, operation: str, api: str) -> list[dict[str, Any]]:
        return list(self.site.aws.pages(SERVICE, operation, "Items", ApiId=api))

    def _target(self, api: str, target: str) -> str:
        wanted = target.removeprefix("integrations/")
        found = self._pages("GetIntegrations", api)
        return next((str(i.get("IntegrationUri")) for i in found if i["IntegrationId"] == wanted), "")

    def create(self, wish: State) -> None:
        """Make it. API names aren't unique, so what a lost answer spoke of is looked for."""
        self.site.survey.spend()
        more = {"CorsConfiguration": wish["cors"]} if wish["cors"] else {}
        params = {
            "Name": names.api(self.site.name),
            "ProtocolType": "HTTP",
            "Description": "made by clouddeploy",
            "Tags": dict(wish["tags"]),
            **more,
        }
        api = made_once(
            self.site,
            lambda: self.site.aws.call(SERVICE, "CreateApi", params, attempts=1),
            lambda: next(iter(find_apis(self.site)), None),
        )
        self._fill(str(api["ApiId"]), {}, wish)

    def update(self, actual: State, wish: State) -> None:
        """Change what differs; its address stays."""
        self.site.survey.spend()
        found = find_apis(self.site)
        if not found:
            self.create(wish)
            return
        api = str(found[0]["ApiId"])
        for other in found[1:]:
            self._call("DeleteApi", str(other["ApiId"]))
        self._set_cors(api, actual, wish)
        self._tag(api, actual["tags"], wish["tags"])
        self._fill(api, actual, wish)

    def _call(self, operation: str, api: str, **params: Any) -> dict[str, Any] | None:
        return self.site.aws.find(SERVICE, operation, GONE, ApiId=api, **params)

    def _set_cors(self, api: str, actual: State, wish: State) -> None:
        if actual["cors"] == wish["cors"]:
            return
        if wish["cors"]:
            self._call("UpdateApi", api, CorsConfiguration=wish["cors"])
        else:
            self._call("DeleteCorsConfiguration", api)

    def _tag(self, api: str, now: Mapping[str, str], then: Mapping[str, str]) -> None:
        aws = self.site.aws
        arn = f"arn:{aws.partition}:apigateway:{aws.region}::/apis/{api}"
        changed = {k: v for k, v in then.items() if now.get(k) != v}
        dropped = sorted(set(now) - set(then))
        if changed:
            aws(SERVICE, "TagResource", ResourceArn=arn, Tags=changed)
        if dropped:
            aws(SERVICE, "UntagResource", ResourceArn=arn, TagKeys=dropped)

    def _fill(self, api: str, actual: State, wish: State) -> None:
        """Integration, route and stage, as far as they differ."""
        leads, auth = (actual.get(k) != wish[k] for k in ("leads_to", "auth"))
        if wish["leads_to"] and (leads or auth):
            self._set_route(api, self._integration(api, wish["leads_to"]), wish["auth"])
        if wish["deploys"] and not actual.get("deploys"):
            self._unless_there("CreateStage", ApiId=api, StageName=STAGE, AutoDeploy=True)

    def _integration(self, api: str, uri: str) -> str:
        wanted = {"IntegrationType": "AWS_PROXY", "IntegrationUri": uri, "PayloadFormatVersion": "2.0"}

        def look() -> dict[str, Any] | None:
            found = self._pages("GetIntegrations", api)
            return next((i for i in found if i.get("IntegrationUri") == uri), None)

        def make() -> dict[str, Any]:
            return self.site.aws.call(SERVICE, "CreateIntegration", {"ApiId": api, **wanted}, attempts=1)

        return str((look() or made_once(self.site, make, look))["IntegrationId"])

    def _set_route(self, api: str, integration: str, auth: str) -> None:
        wanted = {"Target": f"integrations/{integration}", "AuthorizationType": auth}
        if self._unless_there("CreateRoute", ApiId=api, RouteKey=ROUTE, **wanted):
            return
        route = _route(self.site, api)
        if route is not None:
            self._call("UpdateRoute", api, RouteId=route["RouteId"], **wanted)

    def _unless_there(self, operation: str, **params: Any) -> bool:
        try:
            self.site.aws(SERVICE, operation, **params)
        except CloudError as error:
            if not matches(error, EXISTS):
                raise
            return False
        return True

    def delete(self) -> None:
        """Remove it, and what a killed deploy made twice."""
        self.site.survey.spend()
        for api in find_apis(self.site):
            self._call("DeleteApi", str(api["ApiId"]))


def find_apis(site: Site) -> Sequence[dict[str, Any]]:
    """The APIs of the deployment: one, unless a deploy was killed at the wrong moment; oldest first."""
    name = names.api(site.name)
    found = [
        api
        for api in site.aws.pages(SERVICE, "GetApis", "Items")
        if api.get("Name") == name and tags.is_ours(api.get("Tags") or {}, site.name)
    ]
    return sorted(found, key=lambda api: (str(api.get("CreatedDate", "")), api["ApiId"]))


def _route(site: Site, api: str) -> dict[str, Any] | None:
    found = site.aws.pages(SERVICE, "GetRoutes", "Items", ApiId=api)
    return next((r for r in found if r["RouteKey"] == ROUTE), None)


def _cors(found: Mapping[str, Any]) -> dict[str, Any]:
    cors = {k: v for k, v in found.items() if v not in (None, [], False)}
    return {k: sorted(v) if isinstance(v, list) else v for k, v in cors.items()}
