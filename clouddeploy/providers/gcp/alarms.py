"""Alert policies of Cloud Monitoring: they watch a metric and tell people.

Monitoring API v3, REST reference, ``projects.alertPolicies``. Their names are given by Google and their
display names aren't unique, so ours are known by their user labels.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from clouddeploy.engine.resource import State, differences
from clouddeploy.errors import CloudDeployError
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import MISSING, is_passing
from clouddeploy.providers.gcp.labels import DEPLOYMENT, value_of

METRIC: Final = "clouddeploy-metric"
TARGET: Final = "clouddeploy-target"
REGION: Final = "clouddeploy-region"
"""The same name may be deployed in several regions, and policies are a project's."""
TRIES: Final = 5
COPIES: Final = "copies"
"""Of the state: how many policies of ours there are for one metric. More than one only after two deploys
made it at once."""
THRESHOLD: Final = {"thresholdValue": 0.0, "duration": "0s"}
"""What the API may leave out of a condition, since it is the default of its type."""


class Policies:
    """A deployment's alert policies: listed by one call, when they are first asked for.

    Args:
        gcp: the seam.
        name: the deployment.
        target: whose deployment it is, such as ``cloud-run``.
        exist: whether there may be any, as far as can be told without a call.
    """

    def __init__(self, gcp: Gcp, name: str, target: str, exist: Callable[[], bool]) -> None:
        self.gcp = gcp
        self.name = name
        self.labels: Mapping[str, str] = {
            DEPLOYMENT: value_of(name),
            TARGET: value_of(target),
            REGION: value_of(gcp.region),
        }
        """By which they are known."""
        self._exist = exist
        self._touched = False
        self._listed: list[dict[str, Any]] | None = None
        # "Single-thread API calls that modify the state of alerting policies in a single project" (REST
        # reference, projects.alertPolicies.create), and the engine works on several resources at once.
        self._one = threading.RLock()

    def found(self, metric: str = "", *, surely: bool = False) -> list[dict[str, Any]]:
        """Those of one metric, or all of them.

        Args:
            surely: look even where none are to be expected.
        """
        with self._one:
            if not (surely or self._touched or self._exist()):
                return []
            if self._listed is None:
                self._listed = self._list()
            return [p for p in self._listed if not metric or p["userLabels"].get(METRIC) == metric]

    def _list(self) -> list[dict[str, Any]]:
        wanted = f'user_labels."{DEPLOYMENT}"="{self.labels[DEPLOYMENT]}"'
        project = f"projects/{self.gcp.project}"
        listed = self.gcp.pages(
            "monitoring", "ListAlertPolicies", "alertPolicies", name=project, filter=wanted
        )
        ours = (p for p in listed if self.labels.items() <= (p.get("userLabels") or {}).items())
        return sorted(ours, key=lambda p: str(p["name"]))

    def make(self, metric: str, body: Mapping[str, Any]) -> None:
        """Make one. Tried once: after a lost answer it may be there, and would come twice."""
        with self._one:
            listed = self._forget()
            params = {"name": f"projects/{self.gcp.project}", "body": dict(body)}
            made = self.gcp.call("monitoring", "CreateAlertPolicy", params, attempts=1)
            self._listed = None if listed is None else [*listed, made]

    def change(self, policy: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Change the fields of `body`, and no others."""
        with self._one:
            self._forget()
            self.gcp(
                "monitoring",
                "UpdateAlertPolicy",
                name=policy["name"],
                updateMask=",".join(sorted(body)),
                body={**body, "name": policy["name"]},
            )

    def remove(self, policy: Mapping[str, Any]) -> None:
        """Remove one; that it is gone already is success."""
        with self._one:
            listed = self._forget()
            self.gcp.find("monitoring", "DeleteAlertPolicy", MISSING, name=policy["name"])
            gone = policy["name"]
            self._listed = None if listed is None else [p for p in listed if p["name"] != gone]

    def _forget(self) -> list[dict[str, Any]] | None:
        """Something is about to change: the listing, which counts again once it is known how that ended."""
        listed, self._listed, self._touched = self._listed, None, True
        return listed


@dataclass(frozen=True)
class AlertPolicy:
    """The policy on one metric.

    Args:
        policies: where it lives.
        metric: of `Alarm`.
        wish: fields of an AlertPolicy, as in the REST reference; empty for one that is to be removed.
        needs: keys of what must exist before.
    """

    policies: Policies
    metric: str
    wish: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "alert policy"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def name(self) -> str:
        """Its display name."""
        return f"clouddeploy-{self.policies.name}-{self.metric}"

    @property
    def key(self) -> str:
        """``alert-policy/clouddeploy-<name>-<metric>``."""
        return f"alert-policy/{self.name}"

    @property
    def labels(self) -> dict[str, str]:
        """The user labels by which it is known."""
        return {**self.policies.labels, METRIC: self.metric}

    @property
    def removal(self) -> str:
        """Removes it, by its user labels."""
        labels = " AND ".join(f"userLabels.{k}={v}" for k, v in self.labels.items())
        project = f"--project {self.policies.gcp.project}"
        listed = f"gcloud monitoring policies list {project} --filter='{labels}' --format='value(name)'"
        return f"gcloud monitoring policies delete {project} $({listed})"

    def desired(self) -> State:
        """Its fields, and that there is one."""
        return {**self.wish, COPIES: 1}

    def read(self) -> State | None:
        """As Cloud Monitoring has it. Policies of that name that aren't ours don't count."""
        found = self.policies.found(self.metric)
        return self._told(found) if found else None

    def _told(self, found: list[dict[str, Any]]) -> State:
        first = found[0]
        return {
            "displayName": first.get("displayName", ""),
            "combiner": first.get("combiner", ""),
            "enabled": first.get("enabled", True),
            "conditions": [_condition(c) for c in first.get("conditions") or ()],
            "notificationChannels": self._channels(first.get("notificationChannels") or ()),
            "userLabels": dict(first.get("userLabels") or {}),
            COPIES: len(found),
        }

    def _channels(self, found: Any) -> list[str]:
        """Channels in the words of the wish: a project has an id and a number, and either names it."""
        wished = {c.rpartition("/")[2]: c for c in self.wish.get("notificationChannels", ())}
        return sorted(wished.get(c.rpartition("/")[2], c) for c in found)

    def create(self, wish: State) -> None:
        """Make it, unless there is one of ours already, which is brought to `wish`."""
        for attempt in range(1, TRIES):
            if self._adopted(wish):
                return
            try:
                self.policies.make(self.metric, _fields(wish))
            except CloudDeployError as error:
                if not is_passing(error.__cause__ or error):
                    raise
                self.policies.gcp.back_off(attempt)
            else:
                return
        if not self._adopted(wish):
            self.policies.make(self.metric, _fields(wish))

    def _adopted(self, wish: State) -> bool:
        found = self.policies.found(self.metric, surely=True)
        if found:
            self.update(self._told(found), wish)
        return bool(found)

    def update(self, actual: State, wish: State) -> None:
        """Change what differs, in place; of several the first stays."""
        found = self.policies.found(self.metric, surely=True)
        if not found:
            self.create(wish)
            return
        now = self._told(found)
        changed = {k: wish[k] for k in differences(now, _fields(wish))}
        if "conditions" in changed and len(found[0]["conditions"]) == len(wish["conditions"]) == 1:
            # With its name a condition stays the same one, and so do its incidents.
            changed["conditions"] = [{**wish["conditions"][0], "name": found[0]["conditions"][0]["name"]}]
        if changed:
            self.policies.change(found[0], changed)
        for policy in found[1:]:
            self.policies.remove(policy)

    def delete(self) -> None:
        """Remove it."""
        for policy in self.policies.found(self.metric, surely=True):
            self.policies.remove(policy)


def _fields(state: State) -> dict[str, Any]:
    return {k: v for k, v in state.items() if k != COPIES}


def _condition(found: Mapping[str, Any]) -> dict[str, Any]:
    told = {k: v for k, v in found.items() if k != "name"}
    if "conditionThreshold" in told:
        told["conditionThreshold"] = {**THRESHOLD, **told["conditionThreshold"]}
    return told
