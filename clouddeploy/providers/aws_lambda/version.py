"""A published version: code and configuration that don't change any more. It stands for a release."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError, DeployFailed
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.releases import Release, find_releases
from clouddeploy.providers.aws_lambda.settling import is_busy, settled, wait, when_free
from clouddeploy.providers.aws_lambda.site import Site
from clouddeploy.providers.aws_lambda.trial import try_version

CHANGED = frozenset({"PreconditionFailedException", "InvalidParameterValueException: CodeSHA256"})


@dataclass(frozen=True)
class Version:
    """A version, known by its description; its number is AWS's to choose.

    Args:
        site: where it lives.
        release: the release that it stands for.
        digest: of its artifact; empty for an image.
        needs: keys of what must exist before.
    """

    site: Site
    release: str
    digest: str = ""
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "version"
    immutable: ClassVar[frozenset[str]] = frozenset({"release"})

    @property
    def key(self) -> str:
        """``version/<function>-<release>``."""
        return f"version/{self.site.name}-{self.release}"

    @property
    def removal(self) -> str:
        """Removes it, once its number is known."""
        return (
            f"aws lambda delete-function --function-name {self.site.name} --qualifier <the version described "
            f"as '{names.description(self.release, self.digest)}' in: aws lambda list-versions-by-function "
            f"--function-name {self.site.name}>"
        )

    def desired(self) -> State:
        """The release says everything."""
        return {"release": self.release}

    def read(self) -> State | None:
        """Whether it is published."""
        if self.site.empty:
            return None
        return self.desired() if self._found() else None

    def _found(self) -> list[Release]:
        return [r for r in find_releases(self.site) if r.release == self.release]

    def create(self, wish: State) -> None:
        """Publish what the function holds now, wait until it can be called, and call it once."""
        self.site.survey.spend()
        found = settled(self.site)
        described = names.description(self.release, self.digest)
        if found.get("Description") != described:
            raise DeployFailed(
                f"function {self.site.name!r} holds {found.get('Description')!r}, not release {self.release}",
                why="it was changed by other means while this deploy ran",
                fix="deploy again",
            )
        number, answer = self._publish(found, described)
        self._await_active(number, answer)
        try_version(self.site, number)
        self.site.numbers[self.release] = number

    def _publish(self, found: Any, described: str) -> tuple[str, dict[str, Any] | None]:
        """Only what was looked at is published; a lost answer is found again by the description."""
        guards = {k: found[k] for k in ("CodeSha256", "RevisionId") if found.get(k)}
        try:
            answer = when_free(
                self.site, lambda: self.site.call("PublishVersion", Description=described, **guards)
            )
        except CloudError as error:
            there = self._found() if matches(error, CHANGED) else []
            if not there:
                raise
            return there[0].version, None
        return str(answer["Version"]), answer

    def _await_active(self, number: str, answer: dict[str, Any] | None) -> None:
        active = answer if answer and answer.get("State") == "Active" else None
        settled(self.site, qualifier=number, known=active)

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove it."""
        self.site.survey.spend()
        self.site.numbers.pop(self.release, None)
        for release in self._found():
            what = f"version {release.version} of function {self.site.name} to be gone"
            wait(self.site, partial(self._deleted, release.version), what)

    def _deleted(self, number: str) -> bool:
        try:
            self.site.find("DeleteFunction", Qualifier=number)
        except CloudError as error:
            if is_busy(error):
                return False
            raise
        return True
