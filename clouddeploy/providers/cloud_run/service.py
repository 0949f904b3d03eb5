"""The service: what the newest revision is made of, and what holds for all. Traffic is its own matter.

Every update sends the traffic as it is by revision name, so that a new revision gets none, and the
service's ``etag``, so that no change of others is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State, differences
from clouddeploy.engine.waiting import wait_until
from clouddeploy.errors import CloudDeployError, CloudError
from clouddeploy.providers.cloud_run import configuration, names
from clouddeploy.providers.cloud_run.image import address
from clouddeploy.providers.cloud_run.site import Site, refuse_foreign
from clouddeploy.providers.gcp.faults import EXISTS, MISSING, matches
from clouddeploy.providers.gcp.run.failure import not_ready
from clouddeploy.providers.gcp.run.revision import Revision
from clouddeploy.providers.gcp.run.revisions import remove
from clouddeploy.providers.gcp.run.traffic import pinned, shares_of

NOT_KNOWN_YET = ("actas", "serviceaccounts", "service account")
"""Of an account made a moment ago (IAM documentation, "Access change propagation")."""
TRIES = 8
CONFLICT = "different configuration"
OF_TEMPLATE = (
    "labels", "annotations", "scaling", "vpcAccess", "timeout", "serviceAccount", "containers", "volumes",
    "executionEnvironment", "encryptionKey", "maxInstanceRequestConcurrency", "serviceMesh",
    "encryptionKeyRevocationAction", "encryptionKeyShutdownDuration", "sessionAffinity", "nodeSelector",
    "gpuZonalRedundancyDisabled",
)  # fmt: skip
"""Fields that a Revision and a RevisionTemplate share (Cloud Run v2)."""


@dataclass(frozen=True)
class Service:
    """A Cloud Run service.

    Args:
        site: where it lives.
        wish: its state (see `configuration.wished`).
        needs: keys of what must exist before.
    """

    site: Site
    wish: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "service"
    immutable: ClassVar[frozenset[str]] = frozenset()
    secret: ClassVar[frozenset[str]] = frozenset({"env"})

    @property
    def key(self) -> str:
        """``service/<name>``."""
        return f"service/{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes it with all its revisions and its policy."""
        return (
            f"gcloud run services delete {self.site.name} "
            f"--region {self.site.gcp.region} --project {self.site.gcp.project}"
        )

    def desired(self) -> State:
        """The settings, and that the last change of it is done and didn't fail."""
        return dict(self.wish)

    def read(self) -> State | None:
        """As Cloud Run has it.

        Raises:
            NameConflict: a service of that name isn't this deployment's.
        """
        found = self.site.run.service()
        if found is None:
            return None
        refuse_foreign(self.site)
        return configuration.told(found)

    def create(self, wish: State) -> None:
        """Make it and wait until its revision can serve; one of ours that is there already is changed.

        Raises:
            DeployFailed: the revision can't serve.
            NameConflict: somebody else made one of that name meanwhile.
        """
        self.site.spend()
        image = str(wish["image"]) or address(self.site, wish["digest"])
        body = configuration.service(wish, self.site.name, image, self.site.gcp.project)
        try:
            begun = self._known(lambda: self._create(body))
        except CloudError as error:
            if not matches(error, EXISTS):
                raise
            found = self.read()  # also whose it is
            if found is None:
                raise
            self.update(found, wish)
            return
        self._ended(wish, lambda: self.site.run.ended(begun, f"service {self.site.name} to be ready"))

    def _create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        gcp = self.site.gcp
        return gcp("run", "CreateService", parent=gcp.location, serviceId=self.site.name, service=body)

    def update(self, actual: State, wish: State) -> None:
        """Change it, and wait until its newest revision can serve.

        Raises:
            DeployFailed: that revision can't serve.
        """
        self.site.spend()
        if not actual["alive"]:
            self.site.run.settled()
        if not wish["alive"] and _template_differs(actual, wish):
            self._recover()  # undoing back to what had failed before: to what serves, instead
            return
        if self._has_failed(wish) and not self._clear(wish["release"]):
            self.delete()
            self.create(wish)
            return
        if actual["alive"] and not _template_differs(actual, wish):
            self._change(wish, None)
            return
        try:
            self._change(wish, configuration.template(*self._rendering(wish)))
        except CloudError as error:
            same = self._revision(wish["release"])
            if CONFLICT not in error.why or same is None:
                raise
            # An older version of clouddeploy wrote that revision's template in other words.
            self._change(wish, _as(same))

    def _change(self, wish: State, template: Mapping[str, Any] | None) -> None:
        """Send what differs; without a template no revision is made, and the traffic stays as it is."""

        def wished(now: Mapping[str, Any]) -> dict[str, Any] | None:
            found = configuration.told(now)
            if not differences({**found, "alive": wish["alive"]}, wish):
                return None
            settings = configuration.settings(wish)
            return {**settings, "template": template, "traffic": pinned(now)} if template else settings

        mask = configuration.MASK if template else configuration.SETTINGS_MASK
        self._ended(wish, lambda: self._known(lambda: self.site.run.change(wished, mask=mask)))

    def _ended(self, wish: State, wait: Callable[[], dict[str, Any]]) -> None:
        """Wait, and make sure that the newest revision can serve."""
        revision = names.revision(self.site.name, wish["release"])
        try:
            now = wait()
        except CloudError as error:
            self.site.spend()
            if error.operation != "operations.GetOperation":
                raise
            raise not_ready(self.site.run, revision, error.why) from error
        self.site.spend()
        if not now.get("terminalCondition"):
            now = self.site.run.settled()
        condition = now.get("terminalCondition") or {}
        if condition.get("state") == "CONDITION_FAILED" and wish["alive"]:
            raise not_ready(self.site.run, revision, str(condition.get("message", "")))

    def _known(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make a call that may come too early for a service account that was just made."""
        for attempt in range(1, TRIES):
            try:
                return call()
            except CloudDeployError as error:
                early = matches(error, {"PERMISSION_DENIED", "INVALID_ARGUMENT", "NOT_FOUND"})
                if not early or not any(text in error.why.lower() for text in NOT_KNOWN_YET):
                    raise
            self.site.gcp.back_off(attempt)
        return call()

    def _image(self, wish: State) -> str:
        """The image's URI: a revision of that release tells it, else the registry."""
        if wish["image"]:
            return str(wish["image"])
        same = self._revision(wish["release"])
        if same is not None:
            return str(same.shape["containers"][0]["image"])
        return address(self.site, wish["digest"])

    def _rendering(self, wish: State) -> tuple[State, str, str, str]:
        return wish, self.site.name, self._image(wish), self.site.gcp.project

    def _revision(self, release: str) -> Revision | None:
        return next((r for r in self.site.run.revisions() if r.release == release), None)

    def _has_failed(self, wish: State) -> bool:
        found = self._revision(wish["release"])
        return found is not None and found.ready is False

    def _clear(self, release: str) -> bool:
        """Take away a failed revision, so that the same can be tried again; False where nothing serves."""
        if not self._recover():
            return False
        for revision in self.site.run.revisions():
            if revision.release == release and revision.ready is False:
                remove(self.site.run, revision.name)
        return True

    def _recover(self) -> bool:
        """Make the newest revision the one that serves; False where none does."""
        shares = shares_of(self.site.run.service() or {})
        serving = [r for r in self.site.run.revisions() if r.name in shares and r.ready]
        if not serving:
            return False
        best = max(serving, key=lambda r: shares[r.name])

        def wished(now: Mapping[str, Any]) -> dict[str, Any] | None:
            if (now.get("template") or {}).get("revision") == best.name:
                return None
            return {"template": _as(best), "traffic": pinned(now)}

        self.site.run.change(wished, mask="template,traffic")
        self.site.spend()
        return True

    def delete(self) -> None:
        """Remove it with its revisions and its policy, and wait until it is gone."""
        self.site.spend()
        run, what = self.site.run, f"service {self.site.name} to be gone"
        begun = run.gcp.find("run", "DeleteService", MISSING, name=run.full_name)
        if begun is not None:
            run.ended(begun, what)
        else:
            wait_until(lambda: run.find() is None, what=what, timeout_s=run.timeout_s, first_s=run.poll_s)
        run.spend()


def _template_differs(actual: State, wish: State) -> bool:
    return any(actual.get(k) != wish.get(k) for k in (*configuration.IN_TEMPLATE, "release"))


def _as(revision: Revision) -> dict[str, Any]:
    """The template that gives `revision` again."""
    return {"revision": revision.name, **{k: revision.shape[k] for k in OF_TEMPLATE if k in revision.shape}}
