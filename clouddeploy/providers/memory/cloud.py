"""The cloud itself: four kinds of objects that use one another, locks, and what runs.

Like a real one it refuses what makes no sense (creating what exists, using what is missing,
deleting what is in use), knows nothing of deployments beyond the tags it is given, and is reached by
``(service, operation, params)`` only.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clouddeploy.errors import CloudError
from clouddeploy.providers.memory.locks import Locks
from clouddeploy.providers.memory.serving import Running

USES = {"Artifact": None, "Release": "Artifact", "Endpoint": "Release", "Scaling": "Endpoint"}
"""What each kind of object is built on; its state names it under the lower-case kind."""
VERBS = ("Create", "Update", "Describe", "Delete")


@dataclass
class Item:
    """One object.

    Args:
        noun: its kind.
        name: unique among its kind.
        state: its settings.
        tags: labels; the cloud gives them no meaning.
        born: the number of the change that created it.
        served: the number of the change that last put it into service; 0 for never.
        status: ``InService`` or ``Failed``.
        reason: why it failed.
    """

    noun: str
    name: str
    state: Mapping[str, Any]
    tags: Mapping[str, str]
    born: int
    served: int = 0
    status: str = "InService"
    reason: str = ""

    def described(self) -> dict[str, Any]:
        """The answer to ``Describe…``."""
        return {
            "kind": self.noun,
            "name": self.name,
            "state": dict(self.state),
            "tags": dict(self.tags),
            "status": self.status,
            "reason": self.reason,
            "born": self.born,
            "served": self.served,
        }


@dataclass
class MemoryCloud:
    """A cloud in this process. Threads may share it; so may providers, each as from a laptop of its own."""

    _items: dict[tuple[str, str], Item] = field(default_factory=dict, repr=False)
    _running: dict[str, Running] = field(default_factory=dict, repr=False)
    _locks: Locks = field(default_factory=Locks, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1), repr=False)
    _failing: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        self._folder: Path | None = None

    def answer(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        """Carry out one call, as a transport does.

        Raises:
            CloudError: refused; its ``code`` says why (``NotFound``, ``AlreadyExists``, …).
        """
        if operation == "InvokeEndpoint":
            return self._invoke(**params)
        with self._lock:
            if operation.endswith("Lock"):
                return self._locks.answer(operation, params)
            verb = next((v for v in VERBS if operation.startswith(v)), "")
            if verb and operation.removeprefix(verb) in USES:
                return getattr(self, f"_{verb.lower()}")(operation.removeprefix(verb), **params)
            if operation == "ListObjects":
                return self._list(**params)
            if operation in ("GetLogs", "GetMetrics"):
                return self._look(operation, **params)
        raise refused("UnknownOperation", f"{service} has no operation {operation}")

    def inventory(self) -> dict[str, str]:
        """Every object and lock, as ``kind/name`` mapped to its state in text: what tests compare."""
        with self._lock:
            found = {
                f"{item.noun.lower()}/{item.name}": f"{item.status} {json.dumps(item.state, sort_keys=True)}"
                for item in self._items.values()
            }
            return {**found, **{f"lock/{name}": "" for name in self._locks.names()}}

    def fail_next_start(self) -> None:
        """Make the next release that is put into service fail to start, though every call is accepted."""
        self._failing += 1

    def _item(self, noun: str, name: str) -> Item:
        try:
            return self._items[noun, name]
        except KeyError:
            raise refused("NotFound", f"there is no {noun.lower()} {name}") from None

    def _create(
        self, noun: str, *, name: str, state: Mapping[str, Any], tags: Mapping[str, str], **extra: Any
    ) -> None:
        if (noun, name) in self._items:
            raise refused("AlreadyExists", f"{noun.lower()} {name} exists already")
        self._check_use(noun, state)
        item = Item(noun, name, dict(state), dict(tags), next(self._count))
        if noun == "Artifact":
            extra["files"].write(self._storage() / f"{item.born}")
        if noun == "Endpoint":
            self._start(item, state, first=True)
        self._items[noun, name] = item

    def _update(self, noun: str, *, name: str, state: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        item = self._item(noun, name)
        if noun not in ("Endpoint", "Scaling"):
            raise refused("Immutable", f"a {noun.lower()} can't be changed")
        self._check_use(noun, state)
        if noun == "Endpoint" and not self._start(item, state, first=False):
            return
        item.state, item.tags = dict(state), dict(tags)

    def _describe(self, noun: str, *, name: str) -> dict[str, Any]:
        return self._item(noun, name).described()

    def _delete(self, noun: str, *, name: str) -> None:
        item = self._item(noun, name)
        users = [i for i in self._items.values() if USES[i.noun] == noun and i.state[noun.lower()] == name]
        if users:
            raise refused(
                "InUse", f"{noun.lower()} {name} is used by {users[0].noun.lower()} {users[0].name}"
            )
        if noun == "Artifact":
            shutil.rmtree(self._storage() / f"{item.born}")
        if noun == "Endpoint":
            self._running.pop(name, None)
        del self._items[noun, name]

    def _list(self, *, tag: str, value: str = "") -> list[dict[str, Any]]:
        found = [i for i in self._items.values() if tag in i.tags and value in ("", i.tags[tag])]
        return [item.described() for item in sorted(found, key=lambda item: item.born)]

    def _check_use(self, noun: str, state: Mapping[str, Any]) -> None:
        used = USES[noun]
        if used is not None and (used, state.get(used.lower())) not in self._items:
            raise refused(
                "ValidationException", f"the {used.lower()} {state.get(used.lower())!r} isn't there"
            )

    def _start(self, item: Item, state: Mapping[str, Any], *, first: bool) -> bool:
        """Put a release into service; what served before serves on when the new one doesn't start."""
        release = self._item("Release", state["release"])
        shares: Mapping[str, int] = state.get("shares") or {release.name: 100}
        folders = {self._folder_of(self._item("Release", name)): share for name, share in shares.items()}
        running = self._running.setdefault(item.name, Running())
        why = "failed on purpose" if self._failing else ""
        self._failing = max(0, self._failing - 1)
        item.reason = why or running.start(folders)
        if item.reason:
            running.log(f"the release {release.name} did not start: {item.reason}")
            item.status = "Failed" if first or item.status == "Failed" else "InService"
            return False
        item.status = "InService"
        release.served = next(self._count)
        return True

    def _folder_of(self, release: Item) -> Path:
        return self._storage() / f"{self._item('Artifact', release.state['artifact']).born}"

    def _invoke(self, *, name: str, body: bytes, content_type: str, accept: str) -> dict[str, Any]:
        with self._lock:
            if self._item("Endpoint", name).status != "InService":
                raise refused("ModelNotReady", f"endpoint {name} isn't in service")
            running = self._running[name]
        return running.answer(body, content_type, accept)

    def _look(self, operation: str, *, name: str, since_s: float, limit: int = 0) -> Any:
        self._item("Endpoint", name)
        running = self._running[name]
        return running.metrics(since_s) if operation == "GetMetrics" else running.lines(since_s, limit)

    def _storage(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="clouddeploy-memory-"))
            weakref.finalize(self, shutil.rmtree, self._folder, True)
        return self._folder


def refused(code: str, what: str) -> CloudError:
    """The answer to a call that the cloud doesn't carry out."""
    return CloudError(what, why=code, code=code)
