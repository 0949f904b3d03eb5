"""The function: code and configuration of what is published next. What serves is a version of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError, SpecError
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.assuming import assuming
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws.images import Images
from clouddeploy.providers.aws_lambda import configuration, names
from clouddeploy.providers.aws_lambda.settling import is_busy, settled, wait, when_free
from clouddeploy.providers.aws_lambda.site import EXISTS, Site

T = TypeVar("T")
CODE_TAG = "clouddeploy:code-sha256"
"""Lambda's hash of the code that the digest's tag speaks of; without it, the code was never changed."""
NOT_ASSUMABLE = ("cannot be assumed by lambda",)
NEW_ROLE = (*NOT_ASSUMABLE, "does not have permissions to call createnetworkinterface")
"""A role that was just made may also be told of as one that lacks what its policy gives it."""
DIGEST = re.compile(r"[0-9a-f]{32}")
"""How ``code`` tells an artifact of ours; anything else is an image's URI."""
OURS = frozenset({"code", "tags", "reserved_concurrency", "architecture"})
"""Fields that are set by other calls than UpdateFunctionConfiguration."""


@dataclass(frozen=True)
class Function:
    """A function.

    Args:
        site: where it lives.
        wish: its state (see `desired`).
        needs: keys of what must exist before.
        images: where its image lies, when it is one of ours.
    """

    site: Site
    wish: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    images: Images | None = None
    kind: ClassVar[str] = "function"
    immutable: ClassVar[frozenset[str]] = frozenset()
    secret: ClassVar[frozenset[str]] = frozenset({"env"})

    @property
    def key(self) -> str:
        """``function/<name>``."""
        return f"function/{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes it with its versions, alias and URL; role, logs and code stay."""
        return f"aws lambda delete-function --function-name {self.site.name}"

    def desired(self) -> State:
        """``code`` (digest, or URI of an image that isn't ours), ``tags``, ``reserved_concurrency``,
        ``description``, ``alive`` and what `configuration.wished` tells."""
        return dict(self.wish)

    def read(self) -> State | None:
        """As Lambda has it.

        Raises:
            NameConflict: a function of that name isn't this deployment's.
            SpecError: it was made from an image and should be a zip now, or the other way round.
        """
        if self.site.empty:
            return None
        found = self.site.find("GetFunction")
        return None if found is None else self._state(found)

    def _state(self, found: Mapping[str, Any]) -> State:
        carried = dict(found.get("Tags") or {})
        if not tags.is_ours(carried, self.site.name):
            fix = f"use another name, or remove it: {self.removal}"
            raise tags.conflict("function", self.site.name, carried, self.site.name, fix)
        config = found["Configuration"]
        image = (found.get("Code") or {}).get("ImageUri")
        self._refuse_other_package("Image" if image else "Zip")
        hashed = carried.pop(CODE_TAG, config.get("CodeSha256"))
        digest = carried.get(tags.DIGEST, "")
        known = hashed == config.get("CodeSha256") and bool(digest or not image)
        return {
            **configuration.told(config),
            "description": config.get("Description", ""),
            "code": digest if known else image or unknown(config),
            "tags": {k: v for k, v in carried.items() if not k.startswith("aws:")},
            "reserved_concurrency": (found.get("Concurrency") or {}).get("ReservedConcurrentExecutions"),
            "alive": config.get("State") != "Failed",
        }

    def _refuse_other_package(self, package: str) -> None:
        wanted = package_of(self.wish) if self.wish else package
        if package != wanted:
            raise SpecError(
                f"function {self.site.name!r} has package type {package}, and {wanted} is wanted",
                why="Lambda can't change a function's package type (UpdateFunctionCode, API reference)",
                fix="deploy under another name, or delete it first",
            )

    def create(self, wish: State) -> None:
        """Make it and wait until it is active. One that is there and ours is brought to `wish`."""
        self.site.survey.spend()
        try:
            answer = self._assuming(wish, lambda: self._create(wish))
        except CloudError as error:
            found = self.site.find("GetFunction") if matches(error, EXISTS) else None
            if found is None:
                raise
            self.update(self._state(found), wish)
            return
        settled(self.site, known=answer if answer.get("State") == "Active" else None)
        self._reserve({}, wish)

    def _create(self, wish: State) -> dict[str, Any]:
        return self.site.call(
            "CreateFunction",
            Code=self._source(wish),
            PackageType=package_of(wish),
            Architectures=[wish["architecture"]],
            Tags=dict(wish["tags"]),
            **configuration.params(wish, new=True),
        )

    def _source(self, wish: Mapping[str, Any]) -> dict[str, str]:
        code = str(wish["code"])
        if package_of(wish) == "Image":
            ours = self.images is not None and DIGEST.fullmatch(code)
            return {"ImageUri": self.images.uri(code) if self.images and ours else code}
        return {"S3Bucket": self.site.bucket, "S3Key": names.code_key(self.site.name, code)}

    def _assuming(self, wish: State, call: Any) -> Any:
        role = str(wish["role"])
        texts = NEW_ROLE if role == self.site.role_arn else NOT_ASSUMABLE
        return assuming(call, role, texts=texts, product="Lambda", service="lambda.amazonaws.com")

    def update(self, actual: State, wish: State) -> None:
        """Change what differs, one thing after the other, and wait until each is in force.

        What serves is a version, so nothing of this is seen by callers, except the reserved concurrency.
        """
        self.site.survey.spend()
        if not actual["alive"] and self.site.find("GetAlias", Name=names.ALIAS) is None:
            self.delete()  # it failed while it was made, and never served
            self.create(wish)
            return
        changed = {k for k in wish if actual.get(k) != wish[k]}
        hashed = ""
        if changed & {"code", "architecture"}:
            hashed = self._replace_code(actual, wish)
        if changed - OURS:
            self._assuming(
                wish,
                lambda: when_free(
                    self.site,
                    lambda: self.site.call("UpdateFunctionConfiguration", **configuration.params(wish)),
                ),
            )
            settled(self.site)
        self._reserve(actual, wish)
        self._tag(actual, wish, hashed)

    def _replace_code(self, actual: State, wish: State) -> str:
        """Put the code in place; Lambda's hash of it."""
        if str(wish["code"]).startswith(UNKNOWN):
            raise SpecError(
                f"the code of function {self.site.name!r} can't be put back",
                why="it was changed by other means than clouddeploy, and no object of it is kept",
                fix="deploy again",
            )
        before = settled(self.site, refuse_failed=False)
        if not str(actual["code"]).startswith(UNKNOWN):
            # Should this be killed before the tags are written anew, they don't speak of the new code.
            hashed = {CODE_TAG: str(before["CodeSha256"])}
            self.site.aws("lambda", "TagResource", Resource=self.site.arn, Tags=hashed)
        source, architectures = self._source(wish), [wish["architecture"]]
        when_free(
            self.site,
            lambda: self.site.call("UpdateFunctionCode", Architectures=architectures, **source),
        )
        return str(settled(self.site)["CodeSha256"])

    def _reserve(self, actual: State, wish: State) -> None:
        count = wish["reserved_concurrency"]
        if actual.get("reserved_concurrency") == count:
            return
        if count is None:
            self.site.find("DeleteFunctionConcurrency")
        else:
            self.site.call("PutFunctionConcurrency", ReservedConcurrentExecutions=count)

    def _tag(self, actual: State, wish: State, hashed: str) -> None:
        now, then = actual["tags"], wish["tags"]
        changed = {k: v for k, v in then.items() if now.get(k) != v}
        if hashed:
            changed[CODE_TAG] = hashed
        if changed:
            self.site.aws("lambda", "TagResource", Resource=self.site.arn, Tags=changed)
        dropped = sorted(set(now) - set(then))
        if dropped:
            self.site.aws("lambda", "UntagResource", Resource=self.site.arn, TagKeys=dropped)

    def delete(self) -> None:
        """Remove it with all its versions, and wait until it is gone."""
        self.site.survey.spend()
        wait(self.site, self._deleted, f"function {self.site.name} to be gone")

    def _deleted(self) -> bool:
        try:
            gone = self.site.find("DeleteFunction")
        except CloudError as error:
            if is_busy(error):
                return False
            raise
        return gone is None or self.site.find("GetFunctionConfiguration") is None


UNKNOWN = "unknown "


def unknown(config: Mapping[str, Any]) -> str:
    """What stands for code that isn't what the tags say."""
    return f"{UNKNOWN}({config.get('CodeSha256')})"


def package_of(wish: Mapping[str, Any]) -> str:
    """``Zip``, or ``Image`` for what has no managed runtime."""
    return "Zip" if wish["runtime"] else "Image"
