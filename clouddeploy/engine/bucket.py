"""The bucket in which an object store keeps what was packed, as a resource of every deployment in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from clouddeploy.engine.resource import State
from clouddeploy.engine.survey import BaseSurvey
from clouddeploy.errors import NotFound

SurveyT = TypeVar("SurveyT", bound=BaseSurvey[Any])


@dataclass(frozen=True)
class BaseBucket(Generic[SurveyT]):
    """A bucket. Other deployments may use it, so it is removed only when empty.

    Args:
        survey: the deployment's listing, which tells whether it exists.
        own: made by us and ours to remove; False for one that the user named.
    """

    survey: SurveyT
    own: bool
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "bucket"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``bucket/<name>``."""
        return f"bucket/{self.survey.bucket}"

    @property
    def removal(self) -> str:
        """The command that removes it when it is empty."""
        raise NotImplementedError

    def exists(self) -> bool:
        """Ask the store whether it is there."""
        raise NotImplementedError

    def make(self) -> None:
        """Create it; that it is there and ours already is success."""
        raise NotImplementedError

    def remove(self) -> None:
        """Delete it unless something lies in it; that it is gone is success."""
        raise NotImplementedError

    def missing(self) -> NotFound:
        """The error for one that the user named and that doesn't exist."""
        raise NotImplementedError

    def desired(self) -> State:
        """The name is all there is."""
        return {"name": self.survey.bucket}

    def read(self) -> State | None:
        """From the listing, as long as that holds."""
        there = self.exists() if self.survey.spent else self.survey.has_bucket
        return {"name": self.survey.bucket} if there else None

    def create(self, wish: State) -> None:
        """Make it, unless taking the lock already did.

        Raises:
            NotFound: the user named a bucket that doesn't exist.
            NameConflict: somebody else has a bucket of that name.
        """
        if not self.own:
            raise self.missing()
        if not self.survey.made_bucket:
            self.make()

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove it if ours and empty. With the lock in it, that is done when the lock is given back."""
        if self.own and not self.survey.locked:
            self.remove()
