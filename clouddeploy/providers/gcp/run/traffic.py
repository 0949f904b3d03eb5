"""Which share of the requests each release gets: the traffic of a Cloud Run service, by revision name.

Cloud Run v2, ``Service.traffic``: a target is a named revision or the newest ready one, with a percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.engine.waiting import wait_until
from clouddeploy.errors import DeployFailed, NotFound
from clouddeploy.providers.gcp.run.failure import not_ready
from clouddeploy.providers.gcp.run.operation import FACTOR, MOST_S
from clouddeploy.providers.gcp.run.revision import Revision, short
from clouddeploy.providers.gcp.run.site import RunSite

NAMED = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
FOREIGN = "revision "
"""How a revision that isn't one of ours is told among releases."""


def shares_of(service: Mapping[str, Any]) -> dict[str, int]:
    """Percent of the requests by revision, as the service is set; the newest ready one by its name."""
    newest = short(str(service.get("latestReadyRevision", "")))
    targets = service.get("traffic") or [{"type": LATEST, "percent": 100}]
    found: dict[str, int] = {}
    for target in targets:
        name = short(str(target.get("revision") or "")) or newest
        if name and target.get("percent"):
            found[name] = found.get(name, 0) + int(target["percent"])
    return found


def targets(shares: Mapping[str, int], service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What to send so that each revision gets its share; addresses with a tag of the user's stay."""
    sent: list[dict[str, Any]] = [
        {"type": NAMED, "revision": name, "percent": percent} for name, percent in sorted(shares.items())
    ]
    tagged = [t for t in service.get("traffic") or () if t.get("tag")]
    return sent + [{k: v for k, v in t.items() if k != "percent"} for t in tagged]


def pinned(service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The traffic as it is, by names, so that a new revision gets none."""
    return targets(shares_of(service), service)


def releases_of(shares: Mapping[str, int], revisions: list[Revision]) -> dict[str, int]:
    """Percent by release instead of by revision."""
    known = {r.name: r.release for r in revisions if r.release}
    found: dict[str, int] = {}
    for name, percent in shares.items():
        release = known.get(name) or f"{FOREIGN}{name}"
        found[release] = found.get(release, 0) + percent
    return found


@dataclass(frozen=True)
class Traffic:
    """The shares of the requests, by release.

    Args:
        site: the service.
        shares: percent by release; they add up to 100.
        needs: keys of what must exist before.
        pin: name the revision on a new service too, whose traffic follows the newest one until then.
    """

    site: RunSite
    shares: Mapping[str, int]
    needs: tuple[str, ...] = ()
    pin: bool = False
    kind: ClassVar[str] = "traffic"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``traffic/<service>``."""
        return f"traffic/{self.site.name}"

    @property
    def removal(self) -> str:
        """Traffic ends with its service; this sends all of it to the newest revision."""
        return (
            f"gcloud run services update-traffic {self.site.name} --to-latest "
            f"--region {self.site.gcp.region} --project {self.site.gcp.project}"
        )

    def desired(self) -> State:
        """The shares, and that they name revisions, if that is wished."""
        return {"shares": dict(self.shares), **({"pinned": True} if self.pin else {})}

    def read(self) -> State | None:
        """As the service is set; None when no revision gets any."""
        service = self.site.service()
        if service is None:
            return None
        shares = releases_of(shares_of(service), self.site.revisions())
        if not shares:
            return None
        return {"shares": shares, **({"pinned": not _follows_newest(service)} if self.pin else {})}

    def create(self, wish: State) -> None:
        """Set it; on a new service it often is so already."""
        self.update({}, wish)

    def update(self, actual: State, wish: State) -> None:
        """Wait until the revisions can serve, move the traffic, and read it back.

        Raises:
            DeployFailed: one of them can't serve, or the traffic isn't what was asked for.
            NotFound: a release has no revision.
        """
        self.site.spend()
        wanted = {self._ready(release).name: percent for release, percent in wish["shares"].items()}

        def wished(now: Mapping[str, Any]) -> dict[str, Any] | None:
            if shares_of(now) == wanted and not _follows_newest(now):
                return None
            return {"traffic": targets(wanted, now)}

        if not self.pin and not actual and shares_of(self.site.service() or {}) == wanted:
            return  # a new service, whose only revision gets everything
        self.site.change(wished, mask="traffic")
        found = shares_of(self.site.get())
        if found != wanted:
            raise DeployFailed(
                f"the traffic of service {self.site.name!r} is {found}, not {wanted}",
                why="Cloud Run took the change and didn't keep it, or somebody else changed it meanwhile",
                fix="run it again",
            )

    def _ready(self, release: str) -> Revision:
        found = revision_of(self.site, release)

        def look() -> Revision | None:
            now = next((r for r in self.site.revisions() if r.name == found.name), None)
            if now is None:
                raise missing(self.site, release)
            if now.ready is None:
                self.site.spend()
                return None
            return now

        what = f"revision {found.name} to be ready"
        poll_s, timeout_s = self.site.poll_s, self.site.timeout_s
        now = wait_until(
            look, what=what, timeout_s=timeout_s, first_s=poll_s, factor=FACTOR, most_s=max(poll_s, MOST_S)
        )
        if not now.ready:
            raise not_ready(self.site, now.name, now.reason)
        return now

    def delete(self) -> None:
        """Nothing: traffic goes with its service."""


def revision_of(site: RunSite, release: str) -> Revision:
    """The revision that is `release`: the one that gets requests, else the newest that can serve.

    Raises:
        NotFound: there is none.
    """
    if release.startswith(FOREIGN):
        name = release.removeprefix(FOREIGN)
        found = [r for r in site.revisions() if r.name == name]
    else:
        found = [r for r in site.revisions() if r.release == release]
    serving = shares_of(site.service() or {})
    found.sort(key=lambda r: (r.name not in serving, r.ready is False))
    if not found:
        raise missing(site, release)
    return found[0]


def missing(site: RunSite, release: str) -> NotFound:
    """The error for a release without a revision."""
    kept = ", ".join(dict.fromkeys(r.release for r in site.revisions() if r.release)) or "none"
    return NotFound(
        f"service {site.name!r} has no revision of release {release}",
        why=f"kept: {kept}",
        fix="deploy that model again, and set keep_releases to keep more",
    )


def _follows_newest(service: Mapping[str, Any]) -> bool:
    """Whether a revision that is made later would get requests by itself."""
    return any(
        not t.get("revision") and t.get("percent") for t in service.get("traffic") or ({"percent": 100},)
    )
