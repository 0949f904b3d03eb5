"""The repository in Amazon ECR that a deployment's images lie in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws.images import NO_REPOSITORY, Images
from clouddeploy.providers.aws.survey import Survey

EXISTS = frozenset({"RepositoryAlreadyExistsException"})


@dataclass(frozen=True)
class EcrRepository:
    """A repository of ours. Its tags can't be moved: what a release is made of stays what it is.

    Args:
        survey: the deployment's listing in the bucket.
        images: what is to lie in it.
        tags: what it carries.
        needs: keys of what must exist before.
    """

    survey: Survey
    images: Images
    tags: Mapping[str, str]
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "image repository"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``ecr-repository/<name>``."""
        return f"ecr-repository/{self.images.repository}"

    @property
    def removal(self) -> str:
        """Removes it."""
        return f"aws ecr delete-repository --repository-name {self.images.repository}"

    @property
    def arn(self) -> str:
        """Its ARN."""
        aws = self.survey.aws
        return f"arn:{aws.partition}:ecr:{aws.region}:{aws.account}:repository/{self.images.repository}"

    def desired(self) -> State:
        """The tags."""
        return {"tags": dict(self.tags)}

    def read(self) -> State | None:
        """As ECR has it.

        Raises:
            NameConflict: a repository of that name isn't this deployment's.
        """
        carried = self._carried()
        if carried is None:
            return None
        if not tags.is_ours(carried, self.survey.name):
            fix = "use another name for the deployment, or name that repository: repository=…"
            name = self.images.repository
            raise tags.conflict("image repository", name, carried, self.survey.name, fix)
        return {"tags": carried}

    def is_ours(self) -> bool:
        """Whether it is there and this deployment's."""
        return tags.is_ours(self._carried() or {}, self.survey.name)

    def _carried(self) -> dict[str, str] | None:
        """Its tags; None where it isn't there."""
        aws, names = self.survey.aws, [self.images.repository]
        found = aws.find("ecr", "DescribeRepositories", NO_REPOSITORY, repositoryNames=names)
        if found is None:
            return None
        self.images.learn(found["repositories"][0])
        listed = aws.find("ecr", "ListTagsForResource", NO_REPOSITORY, resourceArn=self.arn)
        return None if listed is None else tags.as_map(listed.get("tags"))

    def create(self, wish: State) -> None:
        """Make it; one that is there and ours is brought to `wish`."""
        self.survey.spend()
        try:
            made = self.survey.aws(
                "ecr",
                "CreateRepository",
                repositoryName=self.images.repository,
                imageTagMutability="IMMUTABLE",
                tags=tags.as_list(wish["tags"]),
            )
        except CloudError as error:
            found = self.read() if matches(error, EXISTS) else None
            if found is None:
                raise
            self.update(found, wish)
            return
        self.images.learn(made["repository"])

    def update(self, actual: State, wish: State) -> None:
        """Change its tags."""
        self.survey.spend()
        now, then = actual["tags"], wish["tags"]
        changed = {k: v for k, v in then.items() if now.get(k) != v}
        if changed:
            self._call("TagResource", tags=tags.as_list(changed))
        dropped = sorted(set(now) - set(then))
        if dropped:
            self._call("UntagResource", tagKeys=dropped)

    def _call(self, operation: str, **params: Any) -> None:
        self.survey.aws("ecr", operation, resourceArn=self.arn, **params)

    def delete(self) -> None:
        """Remove it. One with images of somebody else's in it stays, and that is an error."""
        self.survey.spend()
        name = self.images.repository
        self.survey.aws.find("ecr", "DeleteRepository", NO_REPOSITORY, repositoryName=name)
