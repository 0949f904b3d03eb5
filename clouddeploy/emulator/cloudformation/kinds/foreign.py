"""Types that only moto makes: its own models, outside the checks of the embedded cloud's front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.cloudformation.kinds.kind import Kind, Site
from clouddeploy.emulator.cloudformation.records import Part
from clouddeploy.emulator.settings import ACCOUNT


class Foreign(Kind):
    """A type by moto's `model` for it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def create(self, site: Site, part: Part) -> None:
        """As moto does it."""
        wanted = part.properties.get(self._model.cloudformation_name_type() or "")
        name = str(wanted or site.name(part, longest=63))
        part.made = self._model.create_from_cloudformation_json(name, _wish(part), ACCOUNT, site.region)
        part.physical_id = str(part.made.physical_resource_id)

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """As moto does it, which may be by another object."""
        part.made = self._model.update_from_cloudformation_json(
            original_resource=part.made,
            new_resource_name=part.physical_id,
            cloudformation_json=_wish(part),
            account_id=ACCOUNT,
            region_name=site.region,
        )
        part.physical_id = str(part.made.physical_resource_id)

    def delete(self, site: Site, part: Part) -> None:
        """As moto does it."""
        self._model.delete_from_cloudformation_json(part.physical_id, _wish(part), ACCOUNT, site.region)

    def attribute(self, part: Part, name: str) -> Any:
        """What moto says of it."""
        if not self._model.has_cfn_attr(name):
            raise KeyError(name)
        return part.made.get_cfn_attribute(name)


def _wish(part: Part) -> dict[str, Any]:
    return {"Type": part.type, "Properties": dict(part.properties)}
