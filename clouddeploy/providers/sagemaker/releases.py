"""The releases of a deployment that exist: endpoint configs of ours, and what they stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clouddeploy.providers.aws import tags
from clouddeploy.providers.sagemaker.endpoint_config import find_config, variant_of
from clouddeploy.providers.sagemaker.names import base, is_split, is_versioned, main_of, release_of
from clouddeploy.providers.sagemaker.site import Site, tags_of

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Release:
    """One endpoint config of ours.

    Args:
        config: its name.
        created: when.
        digest: of the artifact (32 hex digits), from its tags.
    """

    config: str
    created: datetime
    digest: str

    def release(self, name: str) -> str:
        """The release's digest."""
        return release_of(name, self.config)


def find_releases(site: Site, *, serving: str = "", besides: str = "") -> list[Release]:
    """The releases of the deployment: the serving one first, then newest first.

    Args:
        serving: name of the endpoint config that serves.
        besides: name of one that need not be looked at.
    """
    found = [
        Release(name, entry.get("CreationTime", NEVER), carried.get(tags.DIGEST, ""))
        for name, entry in list_configs(site).items()
        if name != besides
        and is_versioned(site.name, name)
        and tags.is_ours(carried := tags_of(site.aws, entry["EndpointConfigArn"]), site.name)
    ]
    serving = main_of(serving)
    found.sort(key=lambda r: (r.created, r.config), reverse=True)
    return sorted(found, key=lambda r: r.config != serving)


def list_configs(site: Site) -> dict[str, Mapping[str, Any]]:
    """The endpoint configs that may be the deployment's, by name: of releases, and those that split."""
    return _listed(site, "ListEndpointConfigs", "EndpointConfigs", "EndpointConfigName")


def find_splits(site: Site, *, besides: str = "") -> list[str]:
    """Names of the endpoint configs of ours that share the requests between releases."""
    return [
        name
        for name, entry in list_configs(site).items()
        if name != besides
        and is_split(site.name, name)
        and tags.is_ours(tags_of(site.aws, entry["EndpointConfigArn"]), site.name)
    ]


def find_models(site: Site) -> dict[str, Mapping[str, Any]]:
    """The models that may be the deployment's, by name, as the listing tells them."""
    return _listed(site, "ListModels", "Models", "ModelName")


def model_of(site: Site, config: str) -> str:
    """Name of the model that an endpoint config uses; empty when that is gone."""
    answer = find_config(site, config)
    return str(variant_of(answer).get("ModelName", "")) if answer else ""


def _listed(site: Site, operation: str, items: str, key: str) -> dict[str, Mapping[str, Any]]:
    found = site.aws.pages("sagemaker", operation, items, NameContains=base(site.name))
    return {entry[key]: entry for entry in found if is_versioned(site.name, main_of(entry[key]))}
