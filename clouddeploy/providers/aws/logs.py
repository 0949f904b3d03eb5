"""CloudWatch Logs: the last lines of a log group, and its removal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudDeployError
from clouddeploy.providers.aws.client import Aws

MISSING = frozenset({"ResourceNotFoundException"})


def tail(aws: Aws, group: str, *, since_s: float, limit: int) -> Iterator[str]:
    """The last `limit` lines of `group` in the past `since_s` seconds, oldest first; none without a group."""
    start = int((time.time() - since_s) * 1000)
    lines: deque[tuple[int, str]] = deque(maxlen=limit)
    more: dict[str, str] = {}
    while True:
        page = aws.find(
            "logs", "FilterLogEvents", MISSING, logGroupName=group, startTime=max(0, start), **more
        )
        for event in (page or {}).get("events", ()):
            lines.append((event.get("timestamp", 0), event["message"].rstrip("\n")))
        if page is None or not page.get("nextToken"):
            break
        more = {"nextToken": page["nextToken"]}
    yield from (line for _, line in sorted(lines, key=lambda entry: entry[0]))


def last_lines(aws: Aws, group: str, *, limit: int = 20, since_s: float = 3600.0) -> tuple[str, ...]:
    """As `tail`, for an error's text: what can't be read is told as a line of its own."""
    try:
        return tuple(tail(aws, group, since_s=since_s, limit=limit))
    except CloudDeployError as error:
        return (f"(the log group {group} can't be read: {error.what})",)


@dataclass(frozen=True)
class LogGroup:
    """The log group that a cloud service made by itself; here only to be removed.

    Args:
        aws: the seam.
        name: such as ``/aws/sagemaker/Endpoints/digits``.
    """

    aws: Aws
    name: str
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "log group"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``log-group/<name>``."""
        return f"log-group/{self.name}"

    @property
    def removal(self) -> str:
        """Removes it with all its lines."""
        return f"aws logs delete-log-group --log-group-name {self.name}"

    def desired(self) -> State:
        """The name is all there is."""
        return {"name": self.name}

    def read(self) -> State | None:
        """Whether it exists."""
        found = self.aws.pages("logs", "DescribeLogGroups", "logGroups", logGroupNamePrefix=self.name)
        return {"name": self.name} if any(g["logGroupName"] == self.name for g in found) else None

    def create(self, wish: State) -> None:
        """Make it; that it is there already is success."""
        self.aws.find("logs", "CreateLogGroup", {"ResourceAlreadyExistsException"}, logGroupName=self.name)

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove it."""
        self.aws.find("logs", "DeleteLogGroup", MISSING, logGroupName=self.name)
