"""`Memory`: the provider of the target ``memory``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from clouddeploy.engine.finding import Cost, Finding, Mapped
from clouddeploy.engine.resource import Resource
from clouddeploy.errors import InputError, NotFound, PredictionError
from clouddeploy.providers import Embedded, Graph
from clouddeploy.providers.memory.client import Client, Transport
from clouddeploy.providers.memory.cloud import MemoryCloud
from clouddeploy.providers.memory.findings import AUTOSCALING, findings
from clouddeploy.providers.memory.lock import MemoryLock
from clouddeploy.providers.memory.resources import (
    DEPLOYMENT,
    Artifact,
    Endpoint,
    Release,
    Scaling,
    existing,
)
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

PHASES: Mapping[str, Phase] = {"InService": "ready", "Failed": "failed"}

_shared = MemoryCloud()
"""The cloud of those who name none: the same for the whole process, as a real one would be."""


class Memory:
    """Deploys into a cloud inside this process.

    Args:
        cloud: which one; by default one that the whole process shares.
        transport: makes the calls instead of the cloud itself; for recording and fault injection.
    """

    target: ClassVar[str] = "memory"
    autoscaling: ClassVar[Mapping[str, Mapped]] = AUTOSCALING

    @staticmethod
    def embedded(cloud: Embedded, region: str | None) -> Mapping[str, Any]:
        """Nothing: this cloud is in the process already."""
        return {}

    def __init__(self, *, cloud: MemoryCloud | None = None, transport: Transport | None = None) -> None:
        self.client = Client(_shared if cloud is None else cloud, transport)

    def check(self, deployment: Deployment) -> Sequence[Finding]:
        """What one process can't do of the wish."""
        return findings(deployment)

    def preflight(self, deployment: Deployment) -> Sequence[str]:
        """Nothing is slow here."""
        return ()

    def compile(self, deployment: Deployment) -> Graph:
        """Artifact, release, endpoint, scaling, each built on the one before."""
        from clouddeploy.packaging import sagemaker_artifact

        name, tags = deployment.name, deployment.tags
        packed = sagemaker_artifact(deployment.model, compression="none")
        compute = asdict(deployment.compute)
        digest = digest_of({"artifact": packed.digest, "compute": compute, "env": dict(deployment.env)})
        artifact = Artifact(
            self.client, name, f"{name}/{packed.digest[:32]}", {"digest": packed.digest}, (), tags, packed
        )
        release = Release(
            self.client,
            name,
            f"{name}-{digest[:10]}",
            {"artifact": artifact.name, "digest": digest, "compute": compute},
            (artifact.key,),
            tags,
        )
        endpoint = Endpoint(
            self.client,
            name,
            name,
            {"release": release.name, "shares": {}, "tags": dict(tags)},
            (release.key,),
            tags,
            deployment.compute.startup_timeout_s,
        )
        scaling = Scaling(
            self.client, name, name, limits(name, deployment.autoscaling), (endpoint.key,), tags
        )
        return Graph(
            (artifact, release, endpoint, scaling),
            lambda: self._stale(name, release, deployment.keep_releases),
            MemoryLock(self.client, name),
            packed.warnings,
        )

    def removal(self, name: str) -> Graph:
        """Every object that is tagged as the deployment's."""
        return Graph((), lambda: self._all(name), MemoryLock(self.client, name))

    def restore(self, name: str, release: str | None) -> Graph:
        """The endpoint, on a kept release."""
        now = self._serving(name)
        if release is None:
            earlier = [row for row in self._releases(name) if row["name"] != now["state"]["release"]]
            if not earlier:
                raise NotFound(f"{name!r} has no earlier release", fix="deploy the model that you want back")
            return self._moved(name, now, {"release": earlier[0]["name"], "shares": {}})
        return self._moved(name, now, {"release": self._kept(name, release)["name"], "shares": {}})

    def traffic(self, name: str) -> Mapping[str, int]:
        """Percent of the requests by release digest."""
        state = self._serving(name)["state"]
        digests = {row["name"]: row["state"]["digest"] for row in self._releases(name)}
        shares = state["shares"] or {state["release"]: 100}
        return {digests[release]: percent for release, percent in shares.items()}

    def split(self, name: str, shares: Mapping[str, int]) -> Graph:
        """The endpoint, with several releases in service."""
        now = self._serving(name)
        wanted = {self._kept(name, release)["name"]: percent for release, percent in shares.items()}
        most = max(wanted, key=lambda release: wanted[release])
        return self._moved(name, now, {"release": most, "shares": wanted if len(wanted) > 1 else {}})

    def rescale(self, name: str, autoscaling: Autoscaling) -> Graph:
        """The recorded limits."""
        self._serving(name)
        scaling = Scaling(self.client, name, name, limits(name, autoscaling))
        return Graph((scaling,), tuple, MemoryLock(self.client, name))

    def _moved(self, name: str, now: Mapping[str, Any], change: Mapping[str, Any]) -> Graph:
        tags = {key: value for key, value in now["tags"].items() if key != DEPLOYMENT}
        endpoint = Endpoint(self.client, name, name, {**now["state"], **change}, (), tags)
        return Graph((endpoint,), tuple, MemoryLock(self.client, name))

    def _kept(self, name: str, release: str) -> Mapping[str, Any]:
        rows = self._releases(name)
        found = next((row for row in rows if row["state"]["digest"].startswith(release)), None)
        if found is None:
            digests = ", ".join(row["state"]["digest"][:10] for row in rows) or "none"
            raise NotFound(
                f"{name!r} has no release {release!r}",
                why=f"kept releases: {digests}",
                fix="deploy the model that you want back",
            )
        return found

    def _serving(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] | None = self._endpoint(name)
        if found is None:
            raise _nothing(name)
        return found

    def releases(self, name: str) -> Sequence[str]:
        """Digests of the kept releases, the serving one first."""
        return [row["state"]["digest"] for row in self._releases(name)]

    def costs(self, deployment: Deployment) -> Sequence[Cost]:
        """Nothing: it runs in this process."""
        return (Cost(f"endpoint/{deployment.name}", 0.0, "it runs in this process"),)

    def invoke(self, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
        """Send one request to the model in service."""
        found = self.client.find(
            "InvokeEndpoint", name=name, body=body, content_type=content_type, accept=accept
        )
        if found is None:
            raise _nothing(name)
        if found["status"] >= 400:
            raise _wire_error(found["status"], found["body"])
        return Reply(found["body"], found["content_type"], found["headers"])

    def status(self, name: str) -> Status:
        """How the endpoint stands."""
        found = self._endpoint(name)
        if found is None:
            return Status("missing", "")
        release = self.client.find("DescribeRelease", name=found["state"]["release"])
        digest = release["state"]["digest"] if release else ""
        return Status(PHASES[found["status"]], found["status"], digest, found["reason"], copies=1)

    def logs(self, name: str, *, since_s: float, limit: int) -> Iterator[str]:
        """The endpoint's log."""
        yield from self.client.find("GetLogs", name=name, since_s=since_s, limit=limit) or ()

    def metrics(self, name: str, *, since_s: float) -> Mapping[str, float]:
        """Figures of the endpoint's requests."""
        found = self.client.find("GetMetrics", name=name, since_s=since_s)
        if found is None:
            raise _nothing(name)
        return dict(found)

    def deployments(self) -> Iterator[Summary]:
        """Every endpoint with our tag."""
        for row in self.client("ListObjects", tag=DEPLOYMENT):
            if row["kind"] == "Endpoint":
                phase = PHASES[row["status"]]
                yield Summary(row["tags"][DEPLOYMENT], self.target, phase, row["state"]["release"])

    def package(
        self, model: Model, out: Path, *, compression: Compression, architecture: Architecture = "x86_64"
    ) -> Path:
        """Write the artifact to `out`."""
        from clouddeploy.packaging import sagemaker_artifact

        return sagemaker_artifact(model, compression=compression).write(out)

    def describe(self, name: str) -> Mapping[str, Any]:
        """Names of the objects that serve."""
        found = self._endpoint(name)
        if found is None:
            raise _nothing(name)
        return {"endpoint": name, "release": found["state"]["release"], "status": found["status"]}

    def _endpoint(self, name: str) -> Any | None:
        found = self.client.find("DescribeEndpoint", name=name)
        return found if found and found["tags"].get(DEPLOYMENT) == name else None

    def _listed(self, name: str) -> list[Mapping[str, Any]]:
        return list(self.client("ListObjects", tag=DEPLOYMENT, value=name))

    def _all(self, name: str) -> Sequence[Resource]:
        return [existing(self.client, name, row) for row in self._listed(name)]

    def _stale(self, name: str, wished: Release, keep: int) -> Sequence[Resource]:
        rows = self._listed(name)
        others = [row for row in _served(rows) if row["name"] != wished.name]
        kept = {wished.name, *(row["name"] for row in others[:keep])}
        used = {row["state"]["artifact"] for row in rows if row["kind"] == "Release" and row["name"] in kept}
        used.add(str(wished.settings["artifact"]))
        stay = {"Release": kept, "Artifact": used}
        gone = [row for row in rows if row["kind"] in stay and row["name"] not in stay[row["kind"]]]
        return [existing(self.client, name, row) for row in gone]

    def _releases(self, name: str) -> list[Mapping[str, Any]]:
        rows = self._listed(name)
        serving = next((row["state"]["release"] for row in rows if row["kind"] == "Endpoint"), None)
        return sorted(_served(rows), key=lambda row: row["name"] != serving)


def limits(name: str, autoscaling: Autoscaling) -> dict[str, Any]:
    """The state of the scaling limits of endpoint `name`."""
    found = {**asdict(autoscaling), "endpoint": name}
    return {**found, "schedules": list(found["schedules"])}


def _served(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Releases that have served, last first; one that never did is a left-over, not a way back."""
    found = [row for row in rows if row["kind"] == "Release" and row["served"]]
    return sorted(found, key=lambda row: -row["served"])


def _nothing(name: str) -> NotFound:
    return NotFound(f"nothing runs under {name!r} on memory", fix="deploy it first")


def _wire_error(status: int, body: bytes) -> InputError | PredictionError:
    told = json.loads(body)["error"]
    if status < 500:
        return InputError(told["message"], fix=told["fix"], code=told["code"], status=status)
    return PredictionError(
        told["message"], fix=told["fix"], code=told["code"], status=status, operation="memory.InvokeEndpoint"
    )
