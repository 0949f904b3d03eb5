"""The SageMaker model: image, model data, environment and role, under a name that tells its content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError
from clouddeploy.providers.aws import assuming as roles
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws.image import Image
from clouddeploy.providers.sagemaker.site import EXISTS, NO_MODEL, Site, tags_of

T = TypeVar("T")
SERVICE = "sagemaker.amazonaws.com"
NOT_ASSUMABLE = ("could not assume role",)
NEW_ROLE = (*NOT_ASSUMABLE, "sts:assumerole")
"""A role that was just made may also be told of as one that can't read the model data."""


@dataclass(frozen=True)
class SageMakerModel:
    """A model as SageMaker knows it. Nothing of it changes: other content has another name.

    Args:
        site: where it lives.
        name: its name, with the content's digest.
        content: what it consists of (see `desired`).
        tags: all its tags.
        needs: keys of what must exist before.
        built: its image, when that is built: by its own digest it is known only once it was sent.
    """

    site: Site
    name: str
    content: Mapping[str, Any]
    tags: Mapping[str, str]
    needs: tuple[str, ...] = ()
    built: Image | None = None
    kind: ClassVar[str] = "model"
    immutable: ClassVar[frozenset[str]] = frozenset({"image", "data", "env", "role", "network"})
    secret: ClassVar[frozenset[str]] = frozenset({"env"})

    @property
    def key(self) -> str:
        """``model/<name>``."""
        return f"model/{self.name}"

    @property
    def removal(self) -> str:
        """Removes it; the data in the bucket stays."""
        return f"aws sagemaker delete-model --model-name {self.name}"

    def desired(self) -> State:
        """``image``, ``data`` (uri and form, or None), ``env``, ``role`` (ARN) and ``network``."""
        return dict(self.content)

    def read(self) -> State | None:
        """As SageMaker has it.

        Raises:
            NameConflict: a model of that name has other content and isn't this deployment's.
        """
        return None if self.site.survey.fresh else self._read()

    def _read(self) -> State | None:
        answer = self.site.aws.find("sagemaker", "DescribeModel", NO_MODEL, ModelName=self.name)
        if answer is None:
            return None
        found = content_of(answer)
        if self.built is not None and found["image"] == self.built.uri:
            found["image"] = self.built.label
        if found != self.content:
            carried = tags_of(self.site.aws, answer["ModelArn"])
            if not tags.is_ours(carried, self.site.name):
                raise tags.conflict("model", self.name, carried, self.site.name, f"remove it: {self.removal}")
        return found

    def create(self, wish: State) -> None:
        """Make it. One that is there with the same content is success."""
        self.site.survey.spend()
        try:
            assuming(lambda: self._create(wish), wish["role"], made=wish["role"] == self.site.role_arn)
        except CloudError as error:
            if not matches(error, EXISTS) or self._read() != wish:
                raise

    def _create(self, wish: State) -> None:
        network = {"VpcConfig": wish["network"]} if wish["network"] else {}
        built = self.built
        image = built.images.uri(built.digest) if built and wish["image"] == built.label else wish["image"]
        self.site.aws(
            "sagemaker",
            "CreateModel",
            ModelName=self.name,
            PrimaryContainer={
                "Image": image,
                "Environment": wish["env"],
                **data_params(wish["data"]),
            },
            ExecutionRoleArn=wish["role"],
            Tags=tags.as_list(self.tags),
            **network,
        )

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes in place."""

    def delete(self) -> None:
        """Remove it."""
        self.site.aws.find("sagemaker", "DeleteModel", NO_MODEL, ModelName=self.name)


def data_params(data: Mapping[str, str] | None) -> dict[str, Any]:
    """Where the model data is, as CreateModel takes it."""
    if data is None:
        return {}
    if data["form"] == "gzip":
        return {"ModelDataUrl": data["uri"]}
    source = {"S3Uri": data["uri"], "S3DataType": "S3Prefix", "CompressionType": "None"}
    return {"ModelDataSource": {"S3DataSource": source}}


def content_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What DescribeModel tells, in the form of `SageMakerModel.desired`.

    The API may tell an archive in either of two fields, and adds empty ones.
    """
    container = answer.get("PrimaryContainer") or {}
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    plain = source.get("CompressionType") == "None"
    uri = source.get("S3Uri") if plain else container.get("ModelDataUrl") or source.get("S3Uri")
    network = answer.get("VpcConfig") or {}
    kept = {k: list(network[k]) for k in ("SecurityGroupIds", "Subnets") if network.get(k)}
    return {
        "image": container.get("Image", ""),
        "data": {"uri": uri, "form": "prefix" if plain else "gzip"} if uri else None,
        "env": dict(container.get("Environment") or {}),
        "role": answer.get("ExecutionRoleArn", ""),
        "network": kept or None,
    }


def assuming(call: Callable[[], T], role: str, *, made: bool) -> T:
    """Make `call`, again and again for a while if SageMaker can't yet assume `role`.

    Args:
        call: what needs the role.
        role: its ARN.
        made: we made the role, so that it may be new.

    Raises:
        CredentialsError: it still can't.
    """
    texts = NEW_ROLE if made else NOT_ASSUMABLE
    return roles.assuming(call, role, texts=texts, product="SageMaker", service=SERVICE)
