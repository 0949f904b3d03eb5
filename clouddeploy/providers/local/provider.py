"""`Local`: the provider of the target ``local``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from clouddeploy.engine.finding import Cost, Finding, Mapped
from clouddeploy.engine.lease import Lease
from clouddeploy.engine.resource import Resource
from clouddeploy.errors import CloudError, NotFound, PredictionError
from clouddeploy.providers import Embedded, Graph
from clouddeploy.providers.local import check, invocation, options
from clouddeploy.providers.local.client import Client, Transport
from clouddeploy.providers.local.locks import LockFile
from clouddeploy.providers.local.machine import Machine, usual_folder
from clouddeploy.providers.local.mapping import AUTOSCALING, policy, scaling_findings
from clouddeploy.providers.local.resources import Release, Service
from clouddeploy.spec import (
    Architecture,
    Autoscaling,
    Compression,
    Deployment,
    Phase,
    Reply,
    Status,
    Summary,
    digest_of,
)

if TYPE_CHECKING:
    from clouddeploy.model import Model

PHASES: Mapping[str, Phase] = {
    "Creating": "creating",
    "Updating": "updating",
    "InService": "ready",
    "Failed": "failed",
    "Stopped": "failed",
    "Deleting": "deleting",
}
METRICS = ("requests", "errors_4xx", "errors_5xx", "latency_ms")
LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"


class Local:
    """Deploys to this machine: background processes that outlive the one that deploys.

    Args:
        folder: where their files are; by default ``$CLOUDDEPLOY_LOCAL_DIR``, else ``clouddeploy/local``
            in the user's state folder. Each folder is a machine of its own.
        port: where the service listens; 0 finds a free port, which is kept from then on.
        keep_warm_s: seconds that a release which leaves service stays loaded, so that going back to it
            is instant.
        transport: carries operations out instead of the machine; for recording and fault injection.
        server: further settings of the model server, such as ``{"max_batch": 64}``.
    """

    target: ClassVar[str] = "local"
    autoscaling: ClassVar[Mapping[str, Mapped]] = AUTOSCALING

    @staticmethod
    def embedded(cloud: Embedded, region: str | None) -> Mapping[str, Any]:
        """Nothing: this machine needs no stand-in."""
        return {}

    def __init__(
        self,
        *,
        folder: str | os.PathLike[str] | None = None,
        port: int = 0,
        keep_warm_s: float = 0.0,
        transport: Transport | None = None,
        server: Mapping[str, Any] | None = None,
    ) -> None:
        options.check(folder, port, keep_warm_s)
        self._port, self._keep_warm_s = port, float(keep_warm_s)
        self._server = {} if server is None else options.server_settings(server)
        self.client = Client(Machine(Path(folder) if folder is not None else usual_folder()), transport)

    def check(self, deployment: Deployment) -> Sequence[Finding]:
        """What one machine can't do of the wish."""
        return list(check.findings(deployment))

    def preflight(self, deployment: Deployment) -> Sequence[str]:
        """Whether what the model needs is installed here."""
        check.preflight(deployment)
        return ()

    def compile(self, deployment: Deployment) -> Graph:
        """A release, and the service that runs it."""
        from clouddeploy.packaging import sagemaker_artifact

        name = deployment.name
        packed = sagemaker_artifact(deployment.model, compression="none")
        compute, env = asdict(deployment.compute), dict(deployment.env)
        digest = digest_of({"artifact": packed.digest, "compute": compute, "env": env})
        state = {"digest": digest, "artifact": packed.digest, "env": env, "compute": compute}
        release = Release(self.client, name, digest[:10], state, packed)
        service = self._service(name, self._wish(deployment, release.name), (release.key,))
        return Graph(
            (release, service),
            lambda: self._stale(name, release.name, deployment.keep_releases),
            self._lock(name),
            packed.warnings,
        )

    def _wish(self, deployment: Deployment, release: str) -> dict[str, Any]:
        compute = deployment.compute
        return {
            "release": release,
            "shares": {release: 100},
            "host": EVERYWHERE if deployment.access.public else LOOPBACK,
            "port": self._port,
            "autoscaling": policy(deployment.autoscaling),
            "alarms": [{**asdict(alarm), "notify": list(alarm.notify)} for alarm in deployment.alarms],
            "timeout_s": compute.timeout_s,
            "startup_timeout_s": compute.startup_timeout_s,
            "max_concurrency": compute.max_concurrency,
            "server": self._server,
            "tags": dict(deployment.tags),
        }

    def _service(self, name: str, state: Mapping[str, Any], needs: tuple[str, ...] = ()) -> Service:
        return Service(self.client, name, state, needs, self._keep_warm_s)

    def _lock(self, name: str) -> Lease:
        return Lease(LockFile(self.client, name))

    def removal(self, name: str) -> Graph:
        """The service and every release."""
        return Graph((), lambda: self._all(name), self._lock(name))

    def restore(self, name: str, release: str | None) -> Graph:
        """The service, on a kept release."""
        now = self._serving(name)["state"]
        if release is not None:
            return self._moved(name, now, {self._kept(name, release)["name"]: 100})
        earlier = [row for row in self._served(name) if row["name"] != now["release"]]
        if not earlier:
            raise NotFound(f"{name!r} has no earlier release", fix="deploy the model that you want back")
        return self._moved(name, now, {earlier[0]["name"]: 100})

    def traffic(self, name: str) -> Mapping[str, int]:
        """Percent of the requests by release digest."""
        shares: Mapping[str, int] = self._serving(name)["state"]["shares"]
        digests = self._digests(name)
        return {digests.get(release, release): percent for release, percent in shares.items()}

    def split(self, name: str, shares: Mapping[str, int]) -> Graph:
        """The service, with several releases."""
        now = self._serving(name)["state"]
        return self._moved(name, now, {self._kept(name, one)["name"]: part for one, part in shares.items()})

    def rescale(self, name: str, autoscaling: Autoscaling) -> Graph:
        """The service, with another policy."""
        list(scaling_findings(autoscaling))
        now = self._serving(name)["state"]
        service = self._service(name, {**now, "autoscaling": policy(autoscaling)})
        return Graph((service,), tuple, self._lock(name))

    def _moved(self, name: str, now: Mapping[str, Any], shares: dict[str, int]) -> Graph:
        most = max(shares, key=lambda release: shares[release])
        service = self._service(name, {**now, "release": most, "shares": shares})
        return Graph((service,), tuple, self._lock(name))

    def _kept(self, name: str, release: str) -> Mapping[str, Any]:
        rows = self._served(name)
        found = [row for row in rows if row["state"]["digest"].startswith(release)]
        if len(found) != 1:
            digests = ", ".join(row["state"]["digest"][:10] for row in rows) or "none"
            raise NotFound(
                f"{name!r} has no release {release!r}" if not found else f"{release!r} is several releases",
                why=f"kept releases: {digests}",
                fix="name one of them, or deploy the model that you want back",
            )
        return found[0]

    def _served(self, name: str) -> list[Mapping[str, Any]]:
        """Releases that have served, last first; one that never did is a left-over, not a way back."""
        return [row for row in self.client("ListReleases", name=name) if row["served"]]

    def _digests(self, name: str) -> dict[str, str]:
        return {row["name"]: row["state"]["digest"] for row in self.client("ListReleases", name=name)}

    def _serving(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] | None = self.client.find("DescribeService", name=name)
        if found is None:
            raise _nothing(name)
        return found

    def releases(self, name: str) -> Sequence[str]:
        """Digests of the kept releases, the serving one first."""
        found = self.client.find("DescribeService", name=name)
        serving = found["state"]["release"] if found else ""
        rows = sorted(self._served(name), key=lambda row: row["name"] != serving)
        return [row["state"]["digest"] for row in rows]

    def costs(self, deployment: Deployment) -> Sequence[Cost]:
        """Nothing: it runs on this machine."""
        return (Cost(f"service/{deployment.name}", 0.0, "it runs on this machine"),)

    def invoke(self, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
        """Send one request to the service."""
        params = {"name": name, "body": body, "content_type": content_type, "accept": accept}
        try:
            status, content, headers = self.client("InvokeService", **params)
        except CloudError as error:
            if error.code == "NotFound":
                raise _nothing(name) from error
            raise PredictionError(
                f"{name!r} doesn't answer",
                why=error.why if error.code != "NotRunning" else error.what,
                fix="see its status() and logs(); deploying it again starts it",
                code="not_ready",
                status=503,
                operation=invocation.OPERATION,
            ) from error
        return invocation.reply(status, content, headers)

    def status(self, name: str) -> Status:
        """How the service stands."""
        found = self.client.find("DescribeService", name=name)
        if found is None:
            return Status("missing", "")
        digest = self._digests(name).get(found["state"]["release"], "")
        copies = sum(found["copies"].values())
        reason = found["reason"] or ("no copy runs; another is started" if _is_alone(found) else "")
        return Status(_phase(found), found["status"], digest, reason, copies=copies)

    def logs(self, name: str, *, since_s: float, limit: int) -> Iterator[str]:
        """Lines of the service's log."""
        yield from self.client.find("GetLogs", name=name, since_s=since_s, limit=limit) or ()

    def metrics(self, name: str, *, since_s: float) -> Mapping[str, float]:
        """Figures of the requests since the background process started, at most of a day."""
        found = self.client.find("GetMetrics", name=name, since_s=since_s)
        if found is None:
            raise _nothing(name)
        return {key: float(found.get(key, 0.0)) for key in METRICS}

    def deployments(self) -> Iterator[Summary]:
        """Every service in the folder."""
        for row in self.client("ListServices"):
            yield Summary(row["name"], self.target, _phase(row), row["state"]["release"], row["created"])

    def package(
        self, model: Model, out: Path, *, compression: Compression, architecture: Architecture = "x86_64"
    ) -> Path:
        """Write the artifact to `out`."""
        from clouddeploy.packaging import sagemaker_artifact

        return sagemaker_artifact(model, compression=compression).write(out)

    def describe(self, name: str) -> Mapping[str, Any]:
        """Where it answers, and where its files are."""
        found = self._serving(name)
        host = found["host"] if found["host"] != EVERYWHERE else LOOPBACK
        return {
            "url": f"http://{host}:{found['port']}" if found["port"] else "",
            "folder": str(self.client.machine.place(name).folder),
            "release": found["state"]["release"],
            "copies": dict(found["copies"]),
            "alarms": list(found["alarms"]),
            "status": found["status"],
        }

    def _all(self, name: str) -> Sequence[Resource]:
        rows = self.client("ListReleases", name=name)
        found: list[Resource] = [Release(self.client, name, row["name"], row["state"]) for row in rows]
        if self.client.find("DescribeService", name=name) is not None:
            found.append(Service(self.client, name, needs=tuple(one.key for one in found)))
        return found

    def _stale(self, name: str, wished: str, keep: int) -> Sequence[Resource]:
        rows = self.client("ListReleases", name=name)
        others = [row["name"] for row in rows if row["served"] and row["name"] != wished]
        stay = {wished, *others[:keep]}
        gone = [row for row in rows if row["name"] not in stay]
        return [Release(self.client, name, row["name"], row["state"]) for row in gone]


def _phase(found: Mapping[str, Any]) -> Phase:
    return "updating" if _is_alone(found) else PHASES[found["status"]]


def _is_alone(found: Mapping[str, Any]) -> bool:
    """Whether the keeper has no copy that could answer, though the service is in force."""
    return found["status"] == "InService" and not sum(found["copies"].values())


def _nothing(name: str) -> NotFound:
    return NotFound(f"nothing runs under {name!r} on local", fix="deploy it first")
