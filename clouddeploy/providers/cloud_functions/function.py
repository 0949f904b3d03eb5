"""The function: source and configuration of the newest revision. What serves is the traffic's to say.

Cloud Functions v2: there are no etags, and a mask that is empty means every field, so an update always
names what it changes. A function under change refuses others (ABORTED).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.engine.waiting import pause
from clouddeploy.errors import CloudDeployError, SpecError
from clouddeploy.providers.cloud_functions import configuration, names
from clouddeploy.providers.cloud_functions.building import ended, settled, wait
from clouddeploy.providers.cloud_functions.following import (
    follow,
    follows_newest,
    is_followed,
    is_newest,
    pin,
    remove_repeated,
    unpin,
)
from clouddeploy.providers.cloud_functions.images import UnusedImages
from clouddeploy.providers.cloud_functions.site import Site
from clouddeploy.providers.cloud_functions.source import generation_of
from clouddeploy.providers.gcp.faults import EXISTS, MISSING, matches

BUSY = frozenset({"ABORTED", "FAILED_PRECONDITION", "409"})
"""How a function under change refuses another one (``unable to queue the operation``)."""
IN_PROGRESS = ("in progress", "unable to queue", "already being", "currently being")
NOT_KNOWN_YET = ("may not exist", "does not exist")
"""Of an account made a moment ago (IAM documentation, "Eventual consistency")."""
TRIES = 8
STATES = frozenset({"alive", "in_force", "follows_newest"})
"""Fields that no mask names."""


@dataclass(frozen=True)
class Function:
    """A function.

    Args:
        site: where it lives.
        wish: its state (see `desired`).
        needs: keys of what must exist before.
    """

    site: Site
    wish: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "function"
    immutable: ClassVar[frozenset[str]] = frozenset()
    secret: ClassVar[frozenset[str]] = frozenset({"env"})

    @property
    def key(self) -> str:
        """``function/<name>``."""
        return f"function/{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes it with its service and revisions; account, source and images stay."""
        gcp = self.site.gcp
        return (
            f"gcloud functions delete {self.site.name} --gen2 --region {gcp.region} --project {gcp.project}"
        )

    def desired(self) -> State:
        """``source`` (digest), ``labels``, what `configuration.wished` tells, ``alive``, and
        ``in_force``: whether the newest revision is as the function says, and gets the requests for its
        release."""
        return dict(self.wish)

    def read(self) -> State | None:
        """As Google has it.

        Raises:
            NameConflict: a function of that name isn't this deployment's.
        """
        if self.site.empty:
            return None
        found = self.site.find()
        return None if found is None else self._state(found)

    def _state(self, found: Mapping[str, Any]) -> State:
        state = configuration.told(found, self.site.name)
        if configuration.ADDED_BY_GOOGLE not in (self.wish.get("env") or {}):
            state["env"].pop(configuration.ADDED_BY_GOOGLE, None)
        alive = found.get("state") == "ACTIVE"
        in_force = not alive or (is_newest(self.site, found) and is_followed(self.site, found))
        # Nobody wishes for the last one: it is for an undo, which gives back all that was read.
        return {**state, "alive": alive, "in_force": in_force, "follows_newest": follows_newest(self.site)}

    def create(self, wish: State) -> None:
        """Make it and wait until it serves. One that is there and ours is brought to `wish`."""
        self.site.spend()
        body = self._body(wish)
        body["serviceConfig"]["allTrafficOnLatestRevision"] = True
        try:
            begun = self._known(
                wish,
                lambda: self.site.gcp(
                    "functions",
                    "CreateFunction",
                    parent=self.site.gcp.location,
                    functionId=self.site.name,
                    function=body,
                ),
            )
        except CloudDeployError as error:
            found = self.site.find() if matches(error, EXISTS) else None
            if found is None:
                raise
            self.update(self._state(found), wish)
            return
        self._done(begun, f"function {self.site.name} to be made")

    def update(self, actual: State, wish: State) -> None:
        """Change what differs; what serves goes on serving until the traffic is moved.

        One that is under change already, as after a deploy that was killed, is awaited first, and not
        changed again when it came to be as wished.
        """
        taking_back = bool(self.site.before)
        if not taking_back:
            self.site.before.append(frozenset(r.name for r in self.site.run.revisions()))
        self.site.spend()
        for attempt in range(TRIES):
            found = settled(self.site)
            if found is None:
                self.create(wish)
                return
            now = self._state(found)
            changed = {k for k in wish.keys() - STATES if now.get(k) != wish[k]}
            if not changed and now["alive"] and is_newest(self.site, found):
                break
            if not now["alive"] and not self._serves():
                self.delete()  # it failed while it was made, and never served
                self.create(wish)
                return
            if self._changed(wish, changed or {"labels"}, last=attempt == TRIES - 1):
                break
        remove_repeated(self.site, follow(self.site), others=taking_back)
        if taking_back:
            UnusedImages(self.site, wish["docker_repository"] or "").delete()
        if wish.get("follows_newest"):
            unpin(self.site)

    def _serves(self) -> bool:
        service = self.site.run.service()
        return bool(service and service.get("latestReadyRevision"))

    def _changed(self, wish: State, changed: set[str], *, last: bool) -> bool:
        """Update the fields `changed`; False when another change was under way just then."""
        pin(self.site)
        self.site.spend()
        body = self._body(wish)
        body["serviceConfig"]["allTrafficOnLatestRevision"] = False
        mask = sorted({configuration.MASK[field] for field in changed})
        mask = [*mask, "serviceConfig.allTrafficOnLatestRevision"]
        try:
            begun = self._known(
                wish,
                lambda: self.site.gcp(
                    "functions",
                    "UpdateFunction",
                    function={**body, "name": self.site.path},
                    updateMask=",".join(mask),
                ),
            )
        except CloudDeployError as error:
            if last or not is_busy(error):
                raise
            return False
        self._done(begun, f"function {self.site.name} to be updated")
        return True

    def _done(self, begun: Mapping[str, Any], what: str) -> None:
        try:
            ended(self.site, begun, what=what)
        finally:
            self.site.spend()

    def _body(self, wish: State) -> dict[str, Any]:
        source = str(wish["source"])
        if not source:
            raise SpecError(
                f"the source of function {self.site.name!r} can't be put back",
                why="it was changed by other means than clouddeploy, and no object of it is kept",
                fix="deploy again",
            )
        name = names.source_object(self.site.name, source)
        storage = {"bucket": self.site.bucket, "object": name, "generation": generation_of(self.site, name)}
        body = configuration.function(wish, storage, self.site.gcp.project)
        body["serviceConfig"]["environmentVariables"].update(self._weights(wish))
        return body

    def _weights(self, wish: State) -> dict[str, str]:
        """Where the weights lie, by the generation that is there."""
        uri = str(wish["env"].get(configuration.WEIGHTS, ""))
        start = f"gs://{self.site.bucket}/"
        if not uri.startswith(start) or "#" in uri:
            return {}
        return {configuration.WEIGHTS: f"{uri}#{generation_of(self.site, uri.removeprefix(start))}"}

    def _known(self, wish: State, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make `call`, again while an account that was just made isn't known everywhere."""
        own = str(wish["service_account"]).startswith(f"{self.site.account}@")
        for attempt in range(1, TRIES):
            try:
                return call()
            except CloudDeployError as error:
                text = error.why.lower()
                late = matches(error, {"PERMISSION_DENIED", "INVALID_ARGUMENT", "NOT_FOUND"})
                if not own or not late or not any(word in text for word in NOT_KNOWN_YET):
                    raise
                pause(min(self.site.poll_s * 2.0**attempt, 20.0))
        return call()

    def delete(self) -> None:
        """Remove it with its service and revisions, and wait until it is gone."""
        self.site.spend()
        wait(self.site, self._deleted, f"function {self.site.name} to be gone")

    def _deleted(self) -> bool:
        if settled(self.site) is None:
            return True
        try:
            begun = self.site.gcp.find("functions", "DeleteFunction", MISSING, name=self.site.path)
        except CloudDeployError as error:
            if is_busy(error):
                return False
            raise
        if begun is not None:
            ended(self.site, begun, what=f"function {self.site.name} to be gone")
        self.site.spend()
        return begun is None or self.site.find() is None


def is_busy(error: CloudDeployError) -> bool:
    """Whether Google refused because a change is under way."""
    return matches(error, BUSY) and any(text in error.why.lower() for text in IN_PROGRESS)
