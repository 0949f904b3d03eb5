"""The frozen nouns of a deployment, and what each of their fields may hold.

A wrong value fails when the object is made, and names the field, the value and what is allowed.
What a particular cloud can't do is not checked here: that is its provider's ``check``.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, get_args

from clouddeploy.autoscaling.policy import Autoscaling as Autoscaling
from clouddeploy.autoscaling.policy import Schedule as Schedule
from clouddeploy.errors import SpecError
from clouddeploy.validation import check_choice, check_number, check_text_map
from clouddeploy.validation import check_name as check_name
from clouddeploy.validation import check_shares as check_shares
from clouddeploy.validation import suggest as suggest

if TYPE_CHECKING:
    from clouddeploy.model import Model

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
RESERVED_TAG = "clouddeploy:"

Architecture = Literal["x86_64", "arm64"]
Compression = Literal["auto", "gzip", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compute:
    """The machine that one copy of the model runs on.

    Args:
        instance: the provider's machine type, such as ``"ml.m5.large"``. None lets the provider
            choose by `memory_mb` (on SageMaker: serverless inference).
        memory_mb: memory in MiB, 128 to 1,048,576.
        architecture: processor architecture.
        max_concurrency: requests that one deployment serves at once where there is no instance
            (serverless), 1 to 1,000.
        timeout_s: seconds that one request may take, 1 to 3,600.
        startup_timeout_s: seconds that the model may take to load, 60 to 3,600.
    """

    instance: str | None = None
    memory_mb: int | None = None
    architecture: Architecture = "x86_64"
    max_concurrency: int | None = None
    timeout_s: int = 60
    startup_timeout_s: int = 600

    def __post_init__(self) -> None:
        if self.instance is not None and not (isinstance(self.instance, str) and self.instance):
            raise SpecError(
                f"Compute.instance is {self.instance!r}",
                why="allowed: a machine type of the provider, or None",
                fix="give a type such as 'ml.m5.large'",
            )
        if self.memory_mb is not None:
            check_number(self, "memory_mb", self.memory_mb, 128, 1_048_576, "MiB")
        if self.max_concurrency is not None:
            check_number(self, "max_concurrency", self.max_concurrency, 1, 1000, "requests")
        check_choice(self, "architecture", self.architecture, get_args(Architecture))
        check_number(self, "timeout_s", self.timeout_s, 1, 3600, "seconds")
        check_number(self, "startup_timeout_s", self.startup_timeout_s, 60, 3600, "seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Who may call the endpoint, and what the endpoint may reach.

    Args:
        role: an existing execution role (on AWS its ARN); None makes one with least privilege.
        public: whether anyone may call it without credentials. Never true unless asked for.
        subnets: private network subnets to attach to.
        security_groups: their security groups.
        kms_key: key that encrypts the storage volume of the machines.
        cors_origins: web origins, such as ``"https://example.com"``, whose pages may call it.
    """

    role: str | None = None
    public: bool = False
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    kms_key: str | None = None
    cors_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "cors_origins", tuple(self.cors_origins))
        for origin in self.cors_origins:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise SpecError(
                    f"Access.cors_origins has {origin!r}",
                    why="allowed: a scheme and a host, such as 'https://example.com', or '*' for everybody",
                    fix="drop the path and the slash at its end",
                )
        object.__setattr__(self, "subnets", tuple(self.subnets))
        object.__setattr__(self, "security_groups", tuple(self.security_groups))
        if bool(self.subnets) != bool(self.security_groups):
            raise SpecError(
                "Access has subnets or security_groups without the other",
                why="a private network attachment takes both",
                fix="give both or neither",
            )


AlarmMetric = Literal["errors_5xx", "errors_4xx", "latency_ms"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """An alarm on the endpoint; on SageMaker one that goes off during an update rolls it back.

    Args:
        metric: what is watched: responses with a 5xx or 4xx status per minute, or the model's
            average latency in milliseconds.
        above: the alarm goes off when the metric is above this, 0 or more.
        minutes: for so many minutes in a row, 1 to 60.
        notify: who is told of it: on AWS ARNs of SNS topics, on Google Cloud names of notification channels.
    """

    metric: AlarmMetric
    above: float
    minutes: int = 1
    notify: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice(self, "metric", self.metric, get_args(AlarmMetric))
        check_number(self, "above", self.above, 0, math.inf, "", whole=False)
        check_number(self, "minutes", self.minutes, 1, 60, "minutes")
        object.__setattr__(self, "notify", tuple(self.notify))


KINDS: tuple[tuple[str, type, str], ...] = (
    ("compute", Compute, "Compute(memory_mb=2048)"),
    ("autoscaling", Autoscaling, "Autoscaling(min=1, max=3)"),
    ("access", Access, "Access(public=True)"),
    ("alarms", Sequence, "(Alarm(…),)"),
    ("env", Mapping, "{'NAME': 'value'}"),
    ("tags", Mapping, "{'name': 'value'}"),
)
"""What fields of a `Deployment` hold, and an example of it."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The declared wish: what should run, under which name, and how.

    Args:
        name: the deployment's name, the same on every target (see `check_name`).
        model: what answers the requests.
        compute: the machine.
        autoscaling: the number of copies.
        access: who may call it.
        alarms: what is watched, and rolls an update back.
        env: environment variables of the model's process.
        tags: labels put on every resource, at most 40; keys starting with ``clouddeploy:`` are ours.
        compression: form of the uploaded model; ``"auto"`` takes the one that starts faster.
        keep_releases: releases kept beside the serving one, so that rollback needs no build, 0 to 20.
        timeout_s: seconds that the deploy may wait for the cloud, 60 to 14,400.
    """

    name: str
    model: Model
    compute: Compute = field(default_factory=Compute)
    autoscaling: Autoscaling = field(default_factory=Autoscaling)
    access: Access = field(default_factory=Access)
    alarms: tuple[Alarm, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    compression: Compression = "auto"
    keep_releases: int = 1
    timeout_s: int = 3600

    def __post_init__(self) -> None:
        check_name(self.name)
        self._check_kinds()
        object.__setattr__(self, "alarms", tuple(self.alarms))
        object.__setattr__(self, "env", check_text_map("Deployment", "env", self.env, ENV_NAME))
        object.__setattr__(self, "tags", check_text_map("Deployment", "tags", self.tags, None))
        ours = [k for k in self.tags if k.lower().startswith((RESERVED_TAG, "aws:"))]
        if ours or len(self.tags) > 40:
            raise SpecError(
                f"Deployment.tags has the reserved key {ours[0]!r}"
                if ours
                else f"Deployment.tags has {len(self.tags)} keys",
                why=f"keys starting with {RESERVED_TAG!r} or 'aws:' are reserved; at most 40 keys",
                fix="rename or drop it" if ours else "drop some",
            )
        metrics = [a.metric for a in self.alarms]
        if len(set(metrics)) < len(metrics):
            raise SpecError(
                f"Deployment.alarms watches one metric twice: {', '.join(metrics)}",
                fix="keep one alarm for each metric",
            )
        check_choice(self, "compression", self.compression, get_args(Compression))
        check_number(self, "keep_releases", self.keep_releases, 0, 20, "releases")
        check_number(self, "timeout_s", self.timeout_s, 60, 14_400, "seconds")

    def _check_kinds(self) -> None:
        if self.model is not None and not hasattr(self.model, "digest"):  # None: the rest is checked alone
            file = os.fspath(self.model) if isinstance(self.model, str | os.PathLike) else "model.pt2"
            raise SpecError(
                f"Deployment.model is {self.model!r}",
                why="allowed: a Model",
                fix=f"make one: Model.from_file({file!r}), or from_torch, from_folder",
            )
        for name, kind, example in KINDS:
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise SpecError(
                    f"Deployment.{name} is {value!r}",
                    why=f"allowed: {kind.__name__}",
                    fix=f"write {name}={example}",
                )
        odd = next((alarm for alarm in self.alarms if not isinstance(alarm, Alarm)), None)
        if odd is not None:
            raise SpecError(
                f"Deployment.alarms holds {odd!r}", why="allowed: Alarm", fix="write Alarm(metric=…, above=…)"
            )

    def wish(self) -> dict[str, Any]:
        """Everything asked for, as plain JSON values; the model by its digest."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "model"}
        for name in ("compute", "autoscaling", "access"):
            plain[name] = asdict(plain[name])
        plain["alarms"] = [asdict(a) for a in self.alarms]
        plain["env"], plain["tags"] = dict(self.env), dict(self.tags)
        return {**plain, "model": self.model.digest}


def digest_of(value: object) -> str:
    """sha256 (64 hex digits) of `value` as canonical JSON: equal values, equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=list)
    return sha256(text.encode()).hexdigest()


Phase = Literal["creating", "updating", "ready", "failed", "deleting", "rolling-back", "missing"]


@dataclass(frozen=True, slots=True)
class Status:
    """How a deployment stands.

    Args:
        phase: the state, in words that are the same on every target.
        native: the provider's own word for it.
        release: digest of the release that serves, or empty.
        reason: why it failed, or empty.
        copies: instances running, where the provider tells.
    """

    phase: Phase
    native: str
    release: str = ""
    reason: str = ""
    copies: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of a listing: a deployment's name, target, phase, release and age (UTC, ISO 8601)."""

    name: str
    target: str
    phase: Phase
    release: str = ""
    created: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from an endpoint.

    Args:
        body: the response's bytes.
        content_type: their media type.
        headers: the response's metadata, lower-case names.
    """

    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
