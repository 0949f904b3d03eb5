"""What is there of a deployment and should not be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clouddeploy.engine.resource import Resource
from clouddeploy.providers.cloud_functions import configuration, names
from clouddeploy.providers.cloud_functions.artifacts import BuildArtifacts
from clouddeploy.providers.cloud_functions.compiler import Compiled, own_account, policies_of, secret_access
from clouddeploy.providers.cloud_functions.following import NEWEST
from clouddeploy.providers.cloud_functions.function import Function
from clouddeploy.providers.cloud_functions.images import UnusedImages
from clouddeploy.providers.cloud_functions.revisions import ReleaseRevision, Superseded, superseded
from clouddeploy.providers.cloud_functions.site import Site, is_ours
from clouddeploy.providers.cloud_functions.source import Source
from clouddeploy.providers.cloud_functions.weights import Weights, WeightsAccess
from clouddeploy.providers.gcp.run import alarming
from clouddeploy.providers.gcp.run.invoker import PublicAccess
from clouddeploy.providers.gcp.run.revision import environment_of, short
from clouddeploy.providers.gcp.run.revisions import kept
from clouddeploy.providers.gcp.service_account import ServiceAccount


def left_over(site: Site, compiled: Compiled, *, keep: int) -> Sequence[Resource]:
    """What remains of other releases than `compiled` and the `keep` ones before it, and of killed deploys."""
    sources = _sources(site, {compiled.source.prefix})
    alarms = alarming.stale(compiled.policies, {a.metric for a in compiled.alarms})
    if site.seen is None:
        return [] if site.survey.fresh else [*sources, *alarms]
    site.refuse_foreign(site.seen)
    account = _account(site, sources) if compiled.account is None else []
    gone = _revisions(site, compiled, keep)
    return [
        *sources,
        *account,
        *_secrets(site, compiled),
        *gone,
        *_weights(site, compiled, {r.release for r in gone if isinstance(r, ReleaseRevision)}),
        *_public(site, compiled),
        *alarms,
    ]


def _weights(site: Site, compiled: Compiled, gone: Collection[str]) -> list[Resource]:
    """Weights that no release reads any more, and the leave to read some when there are none."""
    kept = (r for r in site.run.revisions() if r.release not in gone)
    used = {environment_of(r.shape).get(configuration.WEIGHTS, "").partition("#")[0] for r in kept} - {""}
    every = _all_weights(site)
    found = [w for w in every if w.uri not in used and w.key not in compiled.keys]
    # It goes before the weights, so that nothing of it is left where there are none.
    access = WeightsAccess(site, own_account(site, ()).email, tuple(w.key for w in every))
    needless = bool(every) and not used and access.key not in compiled.keys
    return [*found, *([access] if needless and access.read() is not None else [])]


def _all_weights(site: Site, needs: tuple[str, ...] = ()) -> list[Weights]:
    found = (names.weights_in(name, site.name) for name in site.survey.objects())
    return [Weights(site, name, None, needs) for name in sorted(filter(None, found))]


def _revisions(site: Site, compiled: Compiled, keep: int) -> list[Resource]:
    """Releases beyond those that are kept, and revisions that others of their release have replaced."""
    found = site.run.revisions()
    wanted = compiled.release
    others = [r.release for r in kept(site.run) if r.release != wanted]
    stay = {wanted, *others[:keep]}
    newest = {short(str((site.run.service() or {}).get(field, ""))) for field in NEWEST}
    rebuilt = _is_rebuilt(site, compiled)
    images = UnusedImages(site, compiled.function.wish["docker_repository"] or "")
    gone: list[Resource] = []
    for release in dict.fromkeys(r.release for r in found if r.release):
        mine = [r for r in found if r.release == release]
        if release not in stay:
            # The newest one goes once there is a newer one; until then Cloud Run keeps it.
            if rebuilt or any(r.name not in newest for r in mine):
                gone.append(ReleaseRevision(site, release, (images.key,)))
        elif (rebuilt and release == wanted) or superseded(site, release, found):
            gone.append(Superseded(site, release, (images.key,)))
    return [*gone, images] if gone or rebuilt or images.read() is not None else []


def _is_rebuilt(site: Site, compiled: Compiled) -> bool:
    """Whether the deploy makes a new revision."""
    now = {**configuration.told(site.seen or {}, site.name)}
    now["env"].pop(configuration.ADDED_BY_GOOGLE, None)
    return any(now.get(field) != value for field, value in compiled.function.wish.items() if field in now)


def _public(site: Site, compiled: Compiled) -> list[Resource]:
    access = PublicAccess(site.run)
    return [access] if access.key not in compiled.keys and access.read() is not None else []


def _secrets(site: Site, compiled: Compiled) -> list[Resource]:
    """Bindings for secrets that the function read until now."""
    email = own_account(site, ()).email
    if _account_of(site.seen or {}) != email:
        return []
    before = secret_access(site, configuration.told(site.seen or {}, site.name)["secrets"], email, ())
    return [a for a in before if a.key not in compiled.keys and a.read() is not None]


def _account_of(found: Mapping[str, Any]) -> str:
    return str((found.get("serviceConfig") or {}).get("serviceAccountEmail", ""))


def everything(site: Site) -> Sequence[Resource]:
    """All that belongs to the deployment, whatever the listing of the bucket says."""
    ours = site.seen is not None and is_ours(site.seen, site.name)
    if site.seen is not None and not ours and site.survey.untouched:
        return []
    if site.seen is None and site.survey.untouched:
        return []
    sources = _sources(site, ())
    artifacts = [] if site.seen is not None and not ours else [_artifacts(site, sources)]
    artifacts = [a for a in artifacts if a.read() is not None]
    account = _account(site, sources)
    weights = _all_weights(site, tuple(s.key for s in sources))
    base: list[Resource] = [*sources, *artifacts, *account, *weights]
    access = WeightsAccess(site, own_account(site, ()).email, tuple(a.key for a in account))
    if weights and access.read() is not None:
        base.append(replace(access, needs=(*access.needs, *(w.key for w in weights))))
    below = tuple(r.key for r in base)
    if not ours:
        # Of alarms, too, the source tells where there is no function.
        return [*base, *alarming.stale(policies_of(site), (), below)]
    function = Function(site, {}, below)
    alarms = alarming.stale(policies_of(site), (), (function.key,))
    told = configuration.told(site.seen or {}, site.name)
    email = own_account(site, ()).email
    # Of these bindings nothing but the function tells, so they go before it.
    mine = told["service_account"] == email
    secrets = secret_access(site, told["secrets"], email, (function.key,)) if mine else ()
    return [*base, function, *secrets, *alarms]


def _artifacts(site: Site, sources: Sequence[Resource]) -> BuildArtifacts:
    repository = configuration.told(site.seen or {}, site.name)["docker_repository"] or ""
    return BuildArtifacts(site, repository, tuple(s.key for s in sources))


def _sources(site: Site, wanted: Collection[str]) -> list[Source]:
    objects = [name for name in site.survey.objects() if name != site.survey.lock_key]
    digests = {names.digest_in(name, site.name) for name in objects} - {""}
    found = (Source(site, digest) for digest in sorted(digests))
    return [source for source in found if source.prefix not in wanted]


def _account(site: Site, sources: Sequence[Resource]) -> list[ServiceAccount]:
    account = own_account(site, tuple(s.key for s in sources))
    return [account] if account.read() is not None else []
