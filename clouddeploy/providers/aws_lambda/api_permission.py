"""The permission of the HTTP API to invoke the alias."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import NotFound
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.http_api import ROUTE, find_apis
from clouddeploy.providers.aws_lambda.site import Site, made_or_there

STATEMENT = "clouddeploy-http-api"
OURS, ANYONE = "the HTTP API", "any API of any account"


@dataclass(frozen=True)
class ApiPermission:
    """A statement in the alias's policy that names the API as the source.

    Args:
        site: where it lives.
        needs: keys of what must exist before.
    """

    site: Site
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "permission"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``api-permission/<function>:live``."""
        return f"api-permission/{self.site.name}:{names.ALIAS}"

    @property
    def removal(self) -> str:
        """Removes the statement from the function's policy."""
        return (
            f"aws lambda remove-permission --function-name {self.site.name} --qualifier {names.ALIAS} "
            f"--statement-id {STATEMENT}"
        )

    def desired(self) -> State:
        """Whom it lets in; APIs' ids are API Gateway's to choose."""
        return {"source": OURS}

    def read(self) -> State | None:
        """As Lambda has it; a statement for an API that is gone names that one."""
        found = None if self.site.empty else self._statement()
        if found is None:
            return None
        source = str((found.get("Condition") or {}).get("ArnLike", {}).get("AWS:SourceArn", ANYONE))
        kept = find_apis(self.site)[:1]
        return {"source": OURS if [source] == [self._source(str(a["ApiId"])) for a in kept] else source}

    def _statement(self) -> dict[str, Any] | None:
        answer = self.site.find_live("GetPolicy")
        statements = json.loads(answer["Policy"])["Statement"] if answer else ()
        return next((s for s in statements if s.get("Sid") == STATEMENT), None)

    def _source(self, api: str) -> str:
        aws = self.site.aws
        return f"arn:{aws.partition}:execute-api:{aws.region}:{aws.account}:{api}/*/{ROUTE}"

    def create(self, wish: State) -> None:
        """Add it; one that is there already is success.

        Raises:
            NotFound: the API was removed meanwhile.
        """
        self.site.survey.spend()
        source = self._source(self._api()) if wish["source"] == OURS else str(wish["source"])
        condition = {"SourceArn": source} if source != ANYONE else {}
        made_or_there(
            lambda: self.site.live(
                "AddPermission",
                StatementId=STATEMENT,
                Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                **condition,
            )
        )

    def _api(self) -> str:
        for api in find_apis(self.site):
            return str(api["ApiId"])
        raise NotFound(
            f"the HTTP API of {self.site.name!r} is gone", why="it was removed meanwhile", fix="deploy again"
        )

    def update(self, actual: State, wish: State) -> None:
        """Put it anew: statements don't change."""
        self.delete()
        self.create(wish)

    def delete(self) -> None:
        """Remove it."""
        self.site.survey.spend()
        self.site.find_live("RemovePermission", StatementId=STATEMENT)
