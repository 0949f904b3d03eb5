"""Models, endpoint configs and endpoints, as SageMaker's control plane remembers them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.emulator.backends import mirror
from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.sagemaker.fleet import Fleet
from clouddeploy.emulator.settings import ACCOUNT

LABELS = {"model": "model", "endpoint-config": "endpoint configuration", "endpoint": "endpoint"}
IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


def arn_of(region: str, kind: str, name: str) -> str:
    """The ARN of a SageMaker object; names in ARNs are lower case."""
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{kind}/{name.lower()}"


@dataclass(eq=False)
class Record:
    """A model or an endpoint config: the request that made it, kept whole."""

    kind: str
    region: str
    name: str
    request: dict[str, Any]
    tags: list[dict[str, str]]
    created: float = field(default_factory=time.time)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return arn_of(self.region, self.kind, self.name)


@dataclass(eq=False)
class Endpoint(Record):
    """An endpoint: `config` and `variants` are in force, `pending` is the config of an update under way."""

    config: Record = field(kw_only=True)
    variants: list[dict[str, Any]] = field(default_factory=list)
    status: str = "Creating"
    failure: str = ""
    fleet: Fleet | None = None
    pending: Record | None = None
    deployment: dict[str, Any] | None = None
    modified: float = field(default_factory=time.time)
    updated: float = 0.0


class Store:
    """All records of all regions. Hold `lock` around a look and the change that follows from it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._records: dict[tuple[str, str], dict[str, Record]] = {}

    def all(self, region: str, kind: str) -> dict[str, Record]:
        """The records of one kind in a region by name."""
        return self._records.setdefault((region, kind), {})

    def add(self, record: Record) -> None:
        """Keep a new record.

        Raises:
            Refused: the name is taken (CreateModel, CreateEndpointConfig, CreateEndpoint: names are
                unique within an account and a region).
        """
        with self.lock:
            found = self.all(record.region, record.kind)
            if record.name in found:
                label = LABELS[record.kind]
                raise Refused(f'Cannot create already existing {label} "{found[record.name].arn}".')
            found[record.name] = record
            mirror.put(record.region, record.kind, record.name, record)

    def get(self, region: str, kind: str, name: str) -> Record:
        """A record.

        Raises:
            Refused: there is none of that name.
        """
        record = self.all(region, kind).get(name)
        if record is None:
            raise Refused(f'Could not find {LABELS[kind]} "{arn_of(region, kind, name)}".')
        return record

    def endpoint(self, region: str, name: str) -> Endpoint:
        """An endpoint.

        Raises:
            Refused: there is none of that name.
        """
        record = self.get(region, "endpoint", name)
        assert isinstance(record, Endpoint)
        return record

    def endpoints(self, region: str) -> list[Endpoint]:
        """All endpoints of a region."""
        with self.lock:
            return [e for e in self.all(region, "endpoint").values() if isinstance(e, Endpoint)]

    def drop(self, record: Record) -> None:
        """Forget a record."""
        with self.lock:
            self.all(record.region, record.kind).pop(record.name, None)
            mirror.drop(record.region, record.kind, record.name)
            self.changed.notify_all()

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self._records.clear()
            self.changed.notify_all()
