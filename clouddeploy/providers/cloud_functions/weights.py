"""Weights that are too large for the source: an object in the bucket, and leave to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from clouddeploy.engine import events
from clouddeploy.engine.resource import State
from clouddeploy.errors import NotFound
from clouddeploy.packaging.artifact import Artifact, Member
from clouddeploy.providers.cloud_functions import names
from clouddeploy.providers.cloud_functions.site import Site
from clouddeploy.providers.gcp.iam import VERSION, PolicyOf
from clouddeploy.providers.gcp.upload import find, remove, send_member, send_written

VIEWER = "roles/storage.objectViewer"


@dataclass(frozen=True)
class Weights:
    """The weights, under a name that is their sha256, kept as long as a revision reads them.

    Args:
        site: where they live.
        name: below the deployment's prefix, such as ``models/<sha256>``.
        content: what to send when it isn't there; None for one that is only removed.
        needs: keys of what must exist before.
    """

    site: Site
    name: str
    content: Artifact | Member | None = None
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "weights"
    immutable: ClassVar[frozenset[str]] = frozenset({"name"})

    @property
    def object_name(self) -> str:
        """Its name in the bucket."""
        return names.prefix(self.site.name) + self.name

    @property
    def uri(self) -> str:
        """``gs://bucket/object``, without the generation."""
        return f"gs://{self.site.bucket}/{self.object_name}"

    @property
    def key(self) -> str:
        """``weights/<bucket>/<object>``."""
        return f"weights/{self.site.bucket}/{self.object_name}"

    @property
    def removal(self) -> str:
        """Removes the object."""
        return f"gcloud storage rm {self.uri}"

    def desired(self) -> State:
        """The name says everything."""
        return {"name": self.name}

    def read(self) -> State | None:
        """Whether it is there: from the listing while that holds, else by a call."""
        survey = self.site.survey
        if not survey.spent:
            found = survey.objects().get(self.object_name)
        else:
            found = find(self.site.gcp, self.site.bucket, self.object_name)
        if found is None:
            return None
        self.site.generations[self.object_name] = found.generation
        return self.desired()

    def create(self, wish: State) -> None:
        """Send it; what is there already isn't sent again."""
        if self.content is None:
            raise NotFound(
                f"the weights {self.name!r} are gone from bucket {self.site.bucket!r}",
                why="they are no longer at hand",
                fix="deploy the model again",
            )
        self.site.spend()
        target = (self.site.gcp, self.site.bucket, self.object_name)
        report = partial(events.report, "sending the weights")
        if isinstance(self.content, Member):
            sent = send_member(*target, self.content, report=report)
        else:
            building = partial(events.report, "packing the weights")
            sent = send_written(*target, self.content, report=report, building=building)
        self.site.generations[self.object_name] = sent

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes: other bytes have another name."""

    def delete(self) -> None:
        """Remove the object."""
        self.site.survey.spend()
        remove(self.site.gcp, self.site.bucket, self.object_name)
        self.site.generations.pop(self.object_name, None)


@dataclass(frozen=True)
class WeightsAccess:
    """Leave for the function's account to read the weights, and nothing else in the bucket.

    A binding with a condition on the object's name (IAM documentation, "Resource attributes for IAM
    Conditions": ``resource.name``).

    Args:
        site: where they live.
        email: the account's address.
        needs: keys of what must exist before.
    """

    site: Site
    email: str
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "IAM binding"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``iam/weights-<deployment>``."""
        return f"iam/weights-{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes it."""
        return (
            f"gcloud storage buckets remove-iam-policy-binding gs://{self.site.bucket} --role={VIEWER} "
            f"--member=serviceAccount:{self.email} --all"
        )

    @property
    def _binding(self) -> dict[str, Any]:
        start = f"projects/_/buckets/{self.site.bucket}/objects/{names.prefix(self.site.name)}models/"
        condition = {
            "title": f"clouddeploy {self.site.name}",
            "expression": f'resource.name.startsWith("{start}")',
        }
        return {"role": VIEWER, "members": [f"serviceAccount:{self.email}"], "condition": condition}

    def desired(self) -> State:
        """Who may."""
        return {"email": self.email}

    def read(self) -> State | None:
        """Whether the bucket's policy has the binding."""
        if self.site.empty or not (self.site.survey.spent or self.site.survey.has_bucket):
            return None
        bindings = (self._policy.read() or {}).get("bindings") or ()
        return self.desired() if any(self._is_same(b) for b in bindings) else None

    def _is_same(self, binding: Any) -> bool:
        wanted = self._binding
        condition = binding.get("condition") or {}
        return (
            binding.get("role") == VIEWER
            and set(binding.get("members") or ()) == set(wanted["members"])
            and condition.get("expression") == wanted["condition"]["expression"]
        )

    def create(self, wish: State) -> None:
        """Add it; what else the policy holds stays."""
        self.site.survey.spend()
        self._policy.change(lambda policy: self._with(policy, self._binding))

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Take it away; what else the policy holds stays."""
        self.site.survey.spend()
        self._policy.change(self._with, gone_is_fine=True)

    @property
    def _policy(self) -> PolicyOf:
        return PolicyOf(self.site.gcp, "storage", self.site.bucket)

    def _with(self, policy: Mapping[str, Any], *added: dict[str, Any]) -> dict[str, Any]:
        """`policy` with `added` where our binding was; unchanged when one is there and one is wished."""
        bindings = list(policy.get("bindings") or ())
        others = [b for b in bindings if not self._is_same(b)]
        if added and len(others) < len(bindings):
            others, added = bindings, ()
        return {**policy, "version": VERSION, "bindings": [*others, *added]}
