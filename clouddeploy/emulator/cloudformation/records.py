"""What the emulated CloudFormation remembers: stacks with their resources, events and change sets."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.cloudformation.template import Template
from clouddeploy.emulator.settings import ACCOUNT

STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass
class Part:
    """One resource of a stack.

    Args:
        logical_id: its name in the template.
        type: such as ``AWS::Lambda::Function``.
        properties: its properties, every function called.
        keep: by DeletionPolicy, whether it outlives its removal.
        keep_replaced: by UpdateReplacePolicy, whether it outlives its replacement.
        physical_id: what Ref gives; empty as long as nothing has been made.
        attributes: what Fn::GetAtt gives.
        made: the object that stands for it, for types that moto makes.
    """

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    keep: bool = False
    keep_replaced: bool = False
    physical_id: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    made: Any = None
    status: str = ""
    reason: str = ""
    changed: float = 0.0


@dataclass(frozen=True)
class Event:
    """One line of a stack's history."""

    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str
    at: float
    identity: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Output:
    """One output of a stack; `export` is empty when it isn't exported."""

    key: str
    value: str
    description: str
    export: str


@dataclass(frozen=True)
class Wish:
    """What a stack shall be: a template with everything that is given along with it."""

    template: Template
    parameters: Mapping[str, str]
    tags: tuple[tuple[str, str], ...] = ()
    capabilities: frozenset[str] = frozenset()
    role: str = ""
    topics: tuple[str, ...] = ()
    keep_failed: bool = False


@dataclass
class ChangeSet:
    """Changes that were computed, to be executed or thrown away."""

    identity: str
    name: str
    kind: str
    wish: Wish
    changes: list[dict[str, Any]]
    status: str
    reason: str = ""
    execution: str = "AVAILABLE"
    description: str = ""
    created: float = field(default_factory=time.time)


@dataclass
class Stack:
    """A stack, a deleted one included, which can still be found by its id."""

    identity: str
    name: str
    region: str
    wish: Wish | None = None
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    created: float = field(default_factory=time.time)
    updated: float = 0.0
    deleted: float = 0.0
    parts: dict[str, Part] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    imports: frozenset[str] = frozenset()
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    protected: bool = False
    policy: str = ""

    @property
    def busy(self) -> bool:
        """Whether something goes on with it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def mark(self, status: str, reason: str = "") -> None:
        """Give the stack a status, with its event."""
        # The event first: who sees the status finds it in the history.
        self.events.append(Event(self.name, self.identity, STACK_TYPE, status, reason, time.time()))
        self.status, self.reason = status, reason

    def mark_part(self, part: Part, status: str, reason: str = "") -> None:
        """Give one of its resources a status, with its event."""
        part.status, part.reason, part.changed = status, reason, time.time()
        self.events.append(Event(part.logical_id, part.physical_id, part.type, status, reason, part.changed))


class Stacks:
    """Every region's stacks. `lock` is held while one changes from idle to busy."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._all: list[Stack] = []

    def __iter__(self) -> Iterator[Stack]:
        return iter(list(self._all))

    def clear(self) -> None:
        """Forget them all."""
        self._all.clear()

    def add(self, region: str, name: str) -> Stack:
        """A new stack, under review."""
        arn = f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/{name}/{uuid.uuid4()}"
        stack = Stack(arn, name, region)
        self._all.append(stack)
        return stack

    def find(self, region: str, name: str) -> Stack | None:
        """The living stack of that name, or the one of that id, deleted or not."""
        for stack in self:
            named = stack.name == name and stack.status != "DELETE_COMPLETE"
            if stack.region == region and (named or stack.identity == name):
                return stack
        return None

    def get(self, region: str, name: str, message: str = "Stack with id {} does not exist") -> Stack:
        """The stack of that name or id.

        Raises:
            Refused: there is none.
        """
        found = self.find(region, name)
        if found is None:
            raise Refused(message.format(name), code="ValidationError")
        return found

    def exports(self, region: str) -> dict[str, tuple[Stack, str]]:
        """What the region's stacks export: the stack and the value, by name."""
        return {
            output.export: (stack, output.value)
            for stack in self
            if stack.region == region and stack.status != "DELETE_COMPLETE"
            for output in stack.outputs
            if output.export
        }
