"""What is there of a deployment and should not be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from clouddeploy.engine.resource import Resource, State
from clouddeploy.errors import NameConflict
from clouddeploy.providers.cloud_run import configuration
from clouddeploy.providers.cloud_run.compiler import Compiled, account_of, bindings, policies_of
from clouddeploy.providers.cloud_run.image import Image, remove_package, versions
from clouddeploy.providers.cloud_run.repository import Repository, find_repository, is_ours, others
from clouddeploy.providers.cloud_run.service import Service
from clouddeploy.providers.cloud_run.site import Site
from clouddeploy.providers.cloud_run.site import is_ours as is_own_service
from clouddeploy.providers.gcp.run import alarming
from clouddeploy.providers.gcp.run.invoker import PublicAccess
from clouddeploy.providers.gcp.run.revision import Revision, short
from clouddeploy.providers.gcp.run.revisions import RunRevision, kept
from clouddeploy.providers.gcp.service_account import ServiceAccount


@dataclass(frozen=True)
class Package:
    """All images of a deployment at once, to be removed.

    Args:
        site: where they lie.
        needs: keys of what must exist before.
    """

    site: Site
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "package"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``package/<repository>/<name>``."""
        return f"package/{self.site.repository}/{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes it with its images."""
        return (
            f"gcloud artifacts packages delete {self.site.name} --repository {self.site.repository} "
            f"--location {self.site.gcp.region} --project {self.site.gcp.project}"
        )

    def desired(self) -> State:
        """That it is there."""
        return {"name": self.site.name}

    def read(self) -> State | None:
        """Whether it is there."""
        return self.desired() if versions(self.site) else None

    def create(self, wish: State) -> None:
        """Nothing: it comes with its first image."""

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove it."""
        remove_package(self.site)


def left_over(site: Site, compiled: Compiled, *, keep: int) -> Sequence[Resource]:
    """What remains of other releases than `compiled` and the `keep` ones before it, and of killed deploys."""
    if site.empty:
        return []
    release = str(compiled.service.wish["release"])
    others_kept = [r for r in kept(site.run) if r.release != release]
    stay = others_kept[:keep]
    tagged = _tagged(site)
    gone = [
        r
        for r in site.run.revisions()
        if r.release and r.release != release and r.name not in tagged and r not in stay
    ]
    images = _images(site, compiled, [*stay, *(r for r in site.run.revisions() if r.name in tagged)])
    account = _account(site, images) if compiled.account is None else []
    lower: list[Resource] = [*images, *account]
    below = tuple(r.key for r in lower)
    old = {r.release for r in gone} - {r.release for r in stay}
    found: list[Resource] = [*lower, *(RunRevision(site.run, name, below) for name in sorted(old))]
    public = PublicAccess(site.run)
    if compiled.public is None and public.read() is not None:
        found.append(public)
    alarms = alarming.stale(compiled.policies, {a.metric for a in compiled.alarms})
    return [*found, *_unused_secrets(site, compiled, gone, stay), *alarms]


def _tagged(site: Site) -> set[str]:
    """Names of revisions that have an address of their own, which somebody uses."""
    traffic = (site.run.service() or {}).get("traffic") or ()
    return {short(str(t["revision"])) for t in traffic if t.get("tag") and t.get("revision")}


def _images(site: Site, compiled: Compiled, stay: Iterable[Revision]) -> list[Image]:
    """Images that no release is made of any more."""
    used = {str(c.get("image", "")).rpartition("@")[2] for r in stay for c in r.shape.get("containers") or ()}
    used |= {compiled.image.tag} if compiled.image else set()
    unused = [v for v in versions(site) if v.digest not in used and not v.tags & used]
    return [Image(site, next(iter(sorted(v.tags)), v.digest)) for v in unused]


def _unused_secrets(
    site: Site, compiled: Compiled, gone: Iterable[Revision], stay: Iterable[Revision]
) -> list[Resource]:
    now = [configuration.template_told(r.shape) for r in gone]
    service = site.run.service()
    now += [configuration.told(service)] if service else []
    used = [configuration.template_told(r.shape) for r in stay]
    names = {s for state in now for s in state["secrets"].values()}
    names -= {s for state in (*used, compiled.service.wish) for s in state["secrets"].values()}
    plain = {n.partition(":")[0] for n in names}
    plain -= {
        s.partition(":")[0] for state in (*used, compiled.service.wish) for s in state["secrets"].values()
    }
    return [b for b in bindings(site, plain) if b.read() is not None]


def everything(site: Site) -> Sequence[Resource]:
    """All that belongs to the deployment."""
    found = site.run.service()
    ours = found is not None and is_own_service(found, site.name)
    foreign = found is not None and not ours
    repository = _repository(site)
    package = [] if foreign else [Package(site, tuple(r.key for r in repository))]
    there = [p for p in package if p.read() is not None]
    account = _account(site, there)
    secrets = _secrets(site) if ours else []
    base: list[Resource] = [*repository, *there, *account, *secrets]
    service = [Service(site, {}, tuple(r.key for r in base))] if ours else []
    below = tuple(r.key for r in (*base, *service))
    return [*base, *service, *alarming.stale(policies_of(site), (), below)]


def _repository(site: Site) -> list[Repository]:
    """The repository, when it is ours and nobody else uses it."""
    if not site.own_repository:
        return []
    found = find_repository(site)
    return [Repository(site)] if found and is_ours(found) and not others(site) else []


def _account(site: Site, below: Iterable[Resource]) -> list[ServiceAccount]:
    account = account_of(site, tuple(r.key for r in below))
    try:
        return [account] if account.read() is not None else []
    except NameConflict:
        return []


def _secrets(site: Site) -> list[Resource]:
    """Leave to read secrets, as the service and its revisions tell."""
    states = [configuration.template_told(r.shape) for r in site.run.revisions()]
    names = {s.partition(":")[0] for state in states for s in state["secrets"].values()}
    return [b for b in bindings(site, names) if b.read() is not None]
