"""moto's event source mappings: what feeds functions from queues and streams."""

from __future__ import annotations

from collections.abc import Mapping as Members
from dataclasses import dataclass
from typing import Any

from clouddeploy.emulator.backends.functions import asked, backend_of, regions
from clouddeploy.emulator.settings import ACCOUNT


def _detach(region: str, mapping: Any) -> None:
    """Let moto's queues and streams forget a mapping, as they would run it in Docker at once."""
    from moto.kinesis.models import kinesis_backends
    from moto.sqs.models import sqs_backends

    for queue in sqs_backends[ACCOUNT][region].queues.values():
        if queue.queue_arn == mapping.event_source_arn:
            queue.lambda_event_source_mappings.clear()
    for stream in kinesis_backends[ACCOUNT][region].streams.values():
        if stream.arn == mapping.event_source_arn:
            stream.lambda_event_source_mappings.clear()


@dataclass(frozen=True)
class Mapping:
    """An event source mapping, as far as polling needs it."""

    region: str
    source: str
    function: str
    batch_size: int
    enabled: bool
    response_types: tuple[str, ...]

    @property
    def service(self) -> str:
        """Such as ``sqs``."""
        return self.source.split(":")[2]


def mappings() -> list[Mapping]:
    """The event source mappings of all regions."""
    return [
        Mapping(
            region, str(m.event_source_arn), str(m.function_arn), int(m.batch_size), bool(m.enabled),
            tuple(m.function_response_types or ()),
        )
        for region in regions()
        for m in list(backend_of(region)._event_source_mappings.values())
    ]  # fmt: skip


def add_mapping(region: str, spec: Members[str, Any], arn: str) -> dict[str, Any]:
    """Make an event source mapping for the function `arn`."""
    with asked():
        made = backend_of(region).create_event_source_mapping(dict(spec))
        made.function_arn, made.function_name = arn, arn.split(":")[6]
        _detach(region, made)
        found: dict[str, Any] = made.get_configuration()
        return found
