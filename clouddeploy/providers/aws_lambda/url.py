"""The function's own HTTPS address, and who may call it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.site import Site, made_or_there

AUTH = {"iam": "AWS_IAM", "public": "NONE"}
CORS_METHODS = ["GET", "POST"]
CORS_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
]
CORS_MAX_AGE_S = 600
STATEMENTS: Mapping[str, Mapping[str, Any]] = {
    "clouddeploy-url": {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
    "clouddeploy-url-invoke": {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True},
}
"""What a URL that anyone may call takes, both since October 2025; the second lets nobody invoke the
function in another way (Lambda Developer Guide, "Control access to Lambda function URLs")."""


@dataclass(frozen=True)
class FunctionUrl:
    """The URL of the alias.

    Args:
        site: where it lives.
        auth: ``AWS_IAM`` or ``NONE``.
        origins: web origins whose pages may call it.
        needs: keys of what must exist before.
    """

    site: Site
    auth: str
    origins: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "function URL"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``function-url/<function>:live``."""
        return f"function-url/{self.site.name}:{names.ALIAS}"

    @property
    def removal(self) -> str:
        """Removes it; a new one has another address."""
        return (
            f"aws lambda delete-function-url-config --function-name {self.site.name} "
            f"--qualifier {names.ALIAS}"
        )

    def desired(self) -> State:
        """Who may call it, and which pages."""
        cors = {
            "AllowOrigins": sorted(self.origins),
            "AllowMethods": CORS_METHODS,
            "AllowHeaders": CORS_HEADERS,
            "MaxAge": CORS_MAX_AGE_S,
        }
        return {"auth": self.auth, "cors": cors if self.origins else {}}

    def read(self) -> State | None:
        """As Lambda has it."""
        if self.site.empty:
            return None
        found = find_url(self.site)
        if found is None:
            return None
        cors = {k: v for k, v in (found.get("Cors") or {}).items() if v not in (None, [], False)}
        for name in ("AllowOrigins", "AllowMethods", "AllowHeaders"):
            if name in cors:
                cors[name] = sorted(cors[name])
        return {"auth": found["AuthType"], "cors": cors}

    def create(self, wish: State) -> None:
        """Make it; one that is there already is changed."""
        self.site.survey.spend()
        cors = {"Cors": wish["cors"]} if wish["cors"] else {}
        if not made_or_there(
            lambda: self.site.live("CreateFunctionUrlConfig", AuthType=wish["auth"], **cors)
        ):
            self.update({}, wish)

    def update(self, actual: State, wish: State) -> None:
        """Change it; its address stays."""
        self.site.survey.spend()
        self.site.live("UpdateFunctionUrlConfig", AuthType=wish["auth"], Cors=wish["cors"])

    def delete(self) -> None:
        """Remove it."""
        self.site.survey.spend()
        self.site.find_live("DeleteFunctionUrlConfig")


@dataclass(frozen=True)
class PublicAccess:
    """The permission for anyone to call the URL.

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
        """``permission/<function>:live``."""
        return f"permission/{self.site.name}:{names.ALIAS}"

    @property
    def removal(self) -> str:
        """Removes its statements from the function's policy."""
        return "; ".join(
            f"aws lambda remove-permission --function-name {self.site.name} --qualifier {names.ALIAS} "
            f"--statement-id {name}"
            for name in STATEMENTS
        )

    def desired(self) -> State:
        """Names of the policy's statements that are ours."""
        return {"statements": sorted(STATEMENTS)}

    def read(self) -> State | None:
        """As Lambda has it; None when none of them is there."""
        found = [] if self.site.empty else self._found()
        return {"statements": found} if found else None

    def _found(self) -> list[str]:
        answer = self.site.find_live("GetPolicy")
        statements = json.loads(answer["Policy"])["Statement"] if answer else ()
        return sorted(s["Sid"] for s in statements if s.get("Sid") in STATEMENTS)

    def create(self, wish: State) -> None:
        """Add what is wished for; a statement that is there already is success."""
        self._change([], wish["statements"])

    def update(self, actual: State, wish: State) -> None:
        """Add what lacks, remove what is too much."""
        self._change(actual["statements"], wish["statements"])

    def _change(self, now: list[str], then: list[str]) -> None:
        self.site.survey.spend()
        for name in then:
            if name not in now:
                self._add(name)
        for name in now:
            if name not in then:
                self.site.find_live("RemovePermission", StatementId=name)

    def _add(self, name: str) -> None:
        statement = STATEMENTS[name]
        made_or_there(lambda: self.site.live("AddPermission", StatementId=name, Principal="*", **statement))

    def delete(self) -> None:
        """Remove both statements."""
        self.site.survey.spend()
        for name in STATEMENTS:
            self.site.find_live("RemovePermission", StatementId=name)


def find_url(site: Site) -> dict[str, Any] | None:
    """What GetFunctionUrlConfig tells of the alias, or None."""
    return site.find_live("GetFunctionUrlConfig")
