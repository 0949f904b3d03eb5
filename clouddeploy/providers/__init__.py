"""The contract that the code behind a target fulfils.

A provider turns a `Deployment` into a graph of resources and answers for what runs. It is found by
the entry point group ``clouddeploy.providers`` (see `clouddeploy.registry`); the conformance suite
in `clouddeploy.testing` tests it against this contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from clouddeploy.engine.finding import Cost, Finding, Mapped
from clouddeploy.engine.lock import Lock
from clouddeploy.engine.resource import Resource
from clouddeploy.model import Model
from clouddeploy.spec import Architecture, Autoscaling, Compression, Deployment, Reply, Status, Summary


@dataclass(frozen=True)
class Graph:
    """One deployment as the engine needs it.

    Args:
        resources: what should be; empty for a removal.
        stale: finds what is there and should not be (older releases beyond those kept, left-overs
            of a killed deploy); only resources that are this deployment's by their tags.
        lock: keeps two deploys of the name apart.
        warnings: what the user should look at before going on, such as a secret among the files.
    """

    resources: tuple[Resource, ...]
    stale: Callable[[], Sequence[Resource]]
    lock: Lock
    warnings: tuple[str, ...] = ()


class Embedded(Protocol):
    """What a provider is told of the embedded cloud (see `clouddeploy.emulator.connection.Connection`)."""

    @property
    def url(self) -> str:
        """Where it answers for AWS."""

    @property
    def google_url(self) -> str:
        """Where it answers for Google Cloud."""

    @property
    def region(self) -> str:
        """Its default region."""

    @property
    def access_key_id(self) -> str:
        """Any is taken."""

    @property
    def secret_access_key(self) -> str:
        """Any is taken."""


class Provider(Protocol):
    """The code behind one target. Constructing it makes no call and reads no credentials."""

    target: ClassVar[str]
    autoscaling: ClassVar[Mapping[str, Mapped]]
    """What the target makes of each field of `Autoscaling`; docs/autoscaling.md is made of it."""

    @staticmethod
    def embedded(cloud: Embedded, region: str | None) -> Mapping[str, Any]:
        """Options with which the provider reaches the embedded cloud."""

    def check(self, deployment: Deployment) -> Sequence[Finding]:
        """What the target makes of the wish, before anything is created. Makes no call.

        Raises:
            SpecError: the wish can't be meant, such as an unknown machine type.
        """

    def preflight(self, deployment: Deployment) -> Sequence[str]:
        """What is too slow for `check`, done right before the first change; tells warnings.

        Raises:
            ModelError: the model can't run there, such as for requirements that don't exist.
        """

    def compile(self, deployment: Deployment) -> Graph:
        """The resources that the deployment consists of. Reads as little as it can."""

    def removal(self, name: str) -> Graph:
        """Everything that belongs to the deployment `name`, as stale resources.

        Left-overs of an interrupted deploy are found too. With nothing there, `stale` is empty.
        """

    def restore(self, name: str, release: str | None) -> Graph:
        """The resources that bring a kept release back; None is the newest before the serving one.

        Raises:
            NotFound: no such release is kept.
        """

    def traffic(self, name: str) -> Mapping[str, int]:
        """Percent of the requests that each release gets, by digest; their sum is 100.

        Raises:
            NotFound: nothing runs under that name.
        """

    def split(self, name: str, shares: Mapping[str, int]) -> Graph:
        """The resources that give each kept release its percent of the requests. Builds nothing.

        `shares` is checked already: digests (or their unambiguous starts) to percents above 0 that
        add up to 100. All to one release is how a canary is ended, either way.

        Raises:
            NotFound: no such release is kept, or nothing runs under that name.
            NotSupported: the target can't split so.
        """

    def rescale(self, name: str, autoscaling: Autoscaling) -> Graph:
        """The resources that change the number of copies of what runs, and nothing else.

        Raises:
            NotFound: nothing runs under that name.
            SpecError, NotSupported: the target can't hold that policy.
        """

    def releases(self, name: str) -> Sequence[str]:
        """Digests of the releases that are kept, the serving one first, then newest first."""

    def costs(self, deployment: Deployment) -> Sequence[Cost]:
        """What the resources cost by list price. Makes no call."""

    def invoke(self, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
        """Send one request to what runs, as the wire contract says.

        Raises:
            NotFound: no deployment of that name.
            InputError: the endpoint refused the input (4xx).
            PredictionError: the model failed (5xx).
        """

    def status(self, name: str) -> Status:
        """How it stands; phase ``missing`` when there is nothing of that name."""

    def logs(self, name: str, *, since_s: float, limit: int) -> Iterator[str]:
        """The last `limit` log lines of the past `since_s` seconds, oldest first."""

    def metrics(self, name: str, *, since_s: float) -> Mapping[str, float]:
        """``requests``, ``errors_4xx``, ``errors_5xx`` and ``latency_ms`` of the past `since_s` seconds."""

    def deployments(self) -> Iterator[Summary]:
        """Every deployment of ours that the credentials can see."""

    def package(
        self, model: Model, out: Path, *, compression: Compression, architecture: Architecture = "x86_64"
    ) -> Path:
        """Write the artifact that would be uploaded to `out`: a file, or a folder when uncompressed.

        `architecture` is that of the machine it will run on, where its content depends on it.
        """

    def describe(self, name: str) -> Mapping[str, Any]:
        """The provider's own identifiers of what runs (names, ARNs, URLs), for other tools."""
