"""What a type of resource must know how to do, and the table's plainest entries.

Which properties replace a resource when they change ("Update requires: Replacement"), what Ref returns and
which attributes there are ("Return values") stands on each type's page of the CloudFormation Template
Reference.
"""

from __future__ import annotations

import secrets
import string
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.emulator.cloudformation.records import Part

ALPHABET = string.ascii_uppercase + string.digits


class Failed(Exception):
    """A resource could not be made, changed or removed; the message is the reason that its event shows."""


@dataclass(frozen=True)
class Site:
    """Where a stack's resources are made.

    Args:
        region: the stack's.
        stack: its name.
        client: a boto3 client of the embedded cloud, by service.
    """

    region: str
    stack: str
    client: Callable[[str], Any]

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """One API call, in the API's own spelling."""
        client = self.client(service)
        method = {api: python for python, api in client.meta.method_to_api_mapping.items()}[operation]
        found: dict[str, Any] = getattr(client, method)(**params)
        return found

    def drop(self, service: str, operation: str, **params: Any) -> None:
        """A removal; what is gone already is fine."""
        from botocore.exceptions import ClientError

        try:
            self.call(service, operation, **params)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if not any(word in code for word in ("NotFound", "NoSuch", "404")):
                raise

    def fitting(self, service: str, operation: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `properties` that the operation takes, with their values as the types that it wants."""
        shape = self.client(service).meta.service_model.operation_model(operation).input_shape
        return {k: cast(shape.members[k], v) for k, v in properties.items() if k in shape.members}

    def name(self, part: Part, *, longest: int = 255, low: bool = False) -> str:
        """A physical name: stack, logical id and something random ("Name type", Template Reference)."""
        end = "-" + "".join(secrets.choice(ALPHABET) for _ in range(12))
        start = f"{self.stack}-{part.logical_id}"[: longest - len(end)]
        return (start + end).lower() if low else start + end

    def settled(self, check: Callable[[], str], *, timeout_s: float = 300) -> None:
        """Wait until `check` says nothing; what it says is what goes on."""
        end = time.monotonic() + timeout_s
        while going_on := check():
            if time.monotonic() > end:
                raise Failed(f"did not stabilize: {going_on}")
            time.sleep(0.02)


def cast(shape: Any, value: Any) -> Any:
    """`value` as `shape` wants it: templates write numbers and booleans as text, and the other way round."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        return {k: cast(shape.members[k], v) if k in shape.members else v for k, v in value.items()}
    if kind == "list" and isinstance(value, list):
        return [cast(shape.member, item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {k: cast(shape.value, v) for k, v in value.items()}
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if kind == "string" and isinstance(value, (bool, int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    number: Callable[[str], Any] | None = _NUMBERS.get(kind)
    if number is not None and isinstance(value, str):
        try:
            return number(value)
        except ValueError:
            return value  # the service says what is wrong with it
    return value


_NUMBERS: Mapping[str, Callable[[str], Any]] = {
    "integer": int, "long": int, "float": float, "double": float,
}  # fmt: skip


class Kind(ABC):
    """A type of resource.

    Attributes:
        known: the properties that are carried out; None when it isn't known which are.
        replaced_by: those whose change makes a new resource.
    """

    known: Collection[str] | None = None
    replaced_by: Collection[str] = ()

    @abstractmethod
    def create(self, site: Site, part: Part) -> None:
        """Make it, and set `part.physical_id` as soon as it exists, then `part.attributes`."""

    @abstractmethod
    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """Change it from the properties `before` to those of `part`."""

    @abstractmethod
    def delete(self, site: Site, part: Part) -> None:
        """Remove it; it may be gone."""

    def attribute(self, part: Part, name: str) -> Any:
        """What Fn::GetAtt gives.

        Raises:
            KeyError: there is no such attribute.
        """
        return part.attributes[name]


@dataclass(frozen=True)
class Plain(Kind):
    """A resource that one call makes, one changes and one removes, with members named like the properties.

    Args:
        service: boto3's name of it.
        create_call, update_call, delete_call: its operations.
        member: the name that the physical id has in those calls.
        known: properties that are carried out.
        parents: properties that the other calls need as well.
        replaced_by: properties whose change makes a new resource.
        result: the answer's member that is the physical id; None when it is `member` among the properties.
        attributes: attributes by name, each a member of the create call's answer.
        generated: whether a missing `member` gets a generated name.
    """

    service: str
    create_call: str
    update_call: str
    delete_call: str
    member: str
    known: Collection[str]
    parents: Collection[str] = ()
    replaced_by: Collection[str] = ()
    result: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    generated: bool = False

    def create(self, site: Site, part: Part) -> None:
        """Call `create_call`."""
        properties = dict(part.properties)
        if self.generated:
            properties.setdefault(self.member, site.name(part))
        answer = site.call(
            self.service, self.create_call, **self._fitting(site, self.create_call, properties)
        )
        part.physical_id = str(answer[self.result] if self.result else properties[self.member])
        part.attributes = {name: answer[member] for name, member in self.attributes.items()}

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """Call `update_call`."""
        properties = {**part.properties, self.member: part.physical_id}
        site.call(self.service, self.update_call, **self._fitting(site, self.update_call, properties))

    def delete(self, site: Site, part: Part) -> None:
        """Call `delete_call`."""
        parents = {name: part.properties[name] for name in self.parents}
        site.drop(self.service, self.delete_call, **{self.member: part.physical_id, **parents})

    def _fitting(self, site: Site, operation: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        return site.fitting(self.service, operation, properties)


def pairs(tags: Any) -> dict[str, str]:
    """Tags, written as a list of Key and Value, as a mapping."""
    return {str(t["Key"]): str(t["Value"]) for t in tags or ()}


def changed(part: Part, before: Mapping[str, Any], *names: str) -> bool:
    """Whether one of the properties `names` differs from `before`."""
    return any(part.properties.get(name) != before.get(name) for name in names)
