"""The endpoint config: which model on which machine. It stands for a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.sagemaker.site import EXISTS, NO_CONFIG, Site, tags_of

FIELDS = [
    "VariantName",
    "ModelName",
    "InstanceType",
    "InitialInstanceCount",
    "InitialVariantWeight",
    "ServerlessConfig",
    "ModelDataDownloadTimeoutInSeconds",
    "ContainerStartupHealthCheckTimeoutInSeconds",
]


@dataclass(frozen=True)
class EndpointConfig:
    """An endpoint config. Nothing of it changes: other content has another name.

    Args:
        site: where it lives.
        name: its name, with the content's digest.
        variant: its ``ProductionVariant``.
        kms_key: encrypts the machines' storage volume; None for AWS's own key.
        tags: all its tags.
        scaled: the number of copies is autoscaling's, so that the initial one is no identity.
        needs: keys of what must exist before.
        more: further variants, when several releases share the requests.
    """

    site: Site
    name: str
    variant: Mapping[str, Any]
    kms_key: str | None
    tags: Mapping[str, str]
    scaled: bool = False
    needs: tuple[str, ...] = ()
    more: tuple[Mapping[str, Any], ...] = ()
    kind: ClassVar[str] = "endpoint config"
    immutable: ClassVar[frozenset[str]] = frozenset({"variant", "kms_key", "more"})

    @property
    def key(self) -> str:
        """``endpoint-config/<name>``."""
        return f"endpoint-config/{self.name}"

    @property
    def removal(self) -> str:
        """Removes it; the model stays."""
        return f"aws sagemaker delete-endpoint-config --endpoint-config-name {self.name}"

    def desired(self) -> State:
        """The variants and the key."""
        more = {"more": [dict(variant) for variant in self.more]} if self.more else {}
        return {"variant": dict(self.variant), "kms_key": self.kms_key, **more}

    def read(self) -> State | None:
        """As SageMaker has it.

        Raises:
            NameConflict: one of that name has other content and isn't this deployment's.
        """
        return None if self.site.survey.fresh else self._read()

    def _read(self) -> State | None:
        answer = find_config(self.site, self.name)
        if answer is None:
            return None
        variant, *others = variants_of(answer)
        if self.scaled and "InitialInstanceCount" in variant:
            variant["InitialInstanceCount"] = self.variant["InitialInstanceCount"]
        more = {"more": others} if others else {}
        found = {"variant": variant, "kms_key": answer.get("KmsKeyId") or None, **more}
        if found != self.desired():
            carried = tags_of(self.site.aws, answer["EndpointConfigArn"])
            if not tags.is_ours(carried, self.site.name):
                fix = f"remove it: {self.removal}"
                raise tags.conflict("endpoint config", self.name, carried, self.site.name, fix)
        return found

    def create(self, wish: State) -> None:
        """Make it. One that is there with the same content is success."""
        self.site.survey.spend()
        try:
            self.site.aws(
                "sagemaker",
                "CreateEndpointConfig",
                EndpointConfigName=self.name,
                ProductionVariants=[wish["variant"], *wish.get("more", ())],
                Tags=tags.as_list(self.tags),
                **({"KmsKeyId": wish["kms_key"]} if wish["kms_key"] else {}),
            )
        except CloudError as error:
            if not matches(error, EXISTS) or self._read() != wish:
                raise

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes in place."""

    def delete(self) -> None:
        """Remove it."""
        self.site.aws.find("sagemaker", "DeleteEndpointConfig", NO_CONFIG, EndpointConfigName=self.name)


def find_config(site: Site, name: str) -> dict[str, Any] | None:
    """What DescribeEndpointConfig tells, or None."""
    return site.aws.find("sagemaker", "DescribeEndpointConfig", NO_CONFIG, EndpointConfigName=name)


def variant_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The first variant of a DescribeEndpointConfig answer, without what the API adds."""
    return variants_of(answer)[0]


def variants_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All its variants; there is one at least."""
    found: Sequence[Mapping[str, Any]] = answer.get("ProductionVariants") or ({},)
    return [{k: one[k] for k in FIELDS if one.get(k) not in (None, {})} for one in found]
