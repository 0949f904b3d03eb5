"""CloudWatch Logs: the last lines of a log group, and its removal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
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
    """A log group: one that a cloud service made by itself and that is only removed, or our own.

    Args:
        aws: the seam.
        name: such as ``/aws/sagemaker/Endpoints/digits``.
        needs: keys of what must exist before.
        retention_days: how long lines are kept (PutRetentionPolicy); None means for ever.
        tags: all its tags, written when it is made.
    """

    aws: Aws
    name: str
    needs: tuple[str, ...] = ()
    retention_days: int | None = None
    tags: Mapping[str, str] | None = None
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
        """How long lines are kept."""
        return {"retention_days": self.retention_days}

    def read(self) -> State | None:
        """As it is. Looked at even when nothing of the deployment exists: an older one may hold lines."""
        found = self.aws.pages("logs", "DescribeLogGroups", "logGroups", logGroupNamePrefix=self.name)
        group = next((g for g in found if g["logGroupName"] == self.name), None)
        return None if group is None else {"retention_days": group.get("retentionInDays")}

    def create(self, wish: State) -> None:
        """Make it; that it is there already is success."""
        more = {"tags": dict(self.tags)} if self.tags else {}
        exists = {"ResourceAlreadyExistsException"}
        self.aws.find("logs", "CreateLogGroup", exists, logGroupName=self.name, **more)
        if wish["retention_days"] is not None:
            self.update({}, wish)

    def update(self, actual: State, wish: State) -> None:
        """Set how long lines are kept."""
        days = wish["retention_days"]
        if days is None:
            self.aws.find("logs", "DeleteRetentionPolicy", MISSING, logGroupName=self.name)
        else:
            self.aws("logs", "PutRetentionPolicy", logGroupName=self.name, retentionInDays=days)

    def delete(self) -> None:
        """Remove it."""
        self.aws.find("logs", "DeleteLogGroup", MISSING, logGroupName=self.name)
