"""What the server can be told: every figure, with its default."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from clouddeploy.errors import SpecError

LAST_PORT = 65535
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """How the server behaves.

    Args:
        host: address that it listens on; only this machine's own unless told otherwise.
        port: 0 lets the operating system choose.
        open_when_ready: open the port when every model has answered a warm-up request; otherwise it is open
            at once, and requests are told ``not_ready`` until then.
        workers: processes that answer requests.
        threads: threads of one prediction in a worker; 0 divides the cores among the workers.
        max_batch: examples that one call of the model gets at the most.
        max_delay_ms: milliseconds that an idle model waits for more requests; with 0 it waits, a millisecond
            at the most, only where that was measured to pay.
        queue: examples that may wait for one model in one worker; what comes on top is refused.
        timeout_ms: milliseconds that a request may wait for its predictions, unless its header
            ``x-timeout-ms`` tells otherwise; 0 lets it wait for as long as it takes.
        hang_s: seconds that a prediction may take before its worker is replaced; 0 for no limit.
        max_memory_mb: megabytes of its own that a worker may hold before it is replaced, such as for a model
            that leaks; 0 for any.
        body_limit: bytes of a request's body.
        head_limit: bytes of a request's first line and headers.
        head_timeout_s: seconds in which a request's head must arrive; its body has these too, and one
            more for every `slowest_bytes_per_s` bytes of it.
        write_timeout_s: seconds that a client may let its answer wait, and likewise one more for every
            `slowest_bytes_per_s` bytes that it takes.
        bodies_limit: bytes of incomplete bodies that one worker holds for all its clients together.
        slowest_bytes_per_s: bytes a second below which a client is cut off.
        idle_timeout_s: seconds that a connection without a request is kept.
        drain_s: seconds that requests under way get to finish when the server stops.
        max_connections: connections that one worker holds. For more, those that were idle for longest are
            closed; when none is, the newcomer is refused.
        models: folder of one model, or of many as ``<model>/<version>/``.
        name: the model's name when `models` is one model, and of several the one that answers paths that
            name none.
        versions: which versions of each model to load: ``latest``, ``latest:N``, ``all`` or ``1,3``.
        watch_s: seconds between two looks at the models' folder.
        settle_s: seconds without a change after which a version's folder counts as complete.
        state: JSON file with weights, labels and shadows, which the workers follow; by default one in
            `run_folder`, which ends with the server.
        admin_token: file with the token for ``/v1/admin``, of which there is nothing without one; the
            environment variable ``CLOUDDEPLOY_SERVE_ADMIN_TOKEN`` holds the token itself.
        run_folder: where the workers of one server meet; made by the supervisor.
        access_log: write a line for each request to standard error.
        metrics: count and time requests, and answer ``/metrics``.
        access_log_file: file to which the access log is added instead of standard error.
        slow_ms: milliseconds from which a request is told in the log; 0 tells none.
        dashboard: answer ``/dashboard``, where metrics are counted.
        streams: responses that one worker streams at once.
        jobs: jobs that are kept, waiting or done; 0 takes none.
        jobs_bytes: bytes of their inputs and results.
        job_expiry_s: seconds that a finished job is kept.
        webhooks: where the end of a job may be told: beginnings of URLs, separated by commas; none at first.
        webhook_key: file with the secret that signs what is told.
        api_keys: file of the keys that clients must have; made by
            ``python -m clouddeploy.server.guards.api_keys``.
        jwt_keys: file or URL of the keys that sign clients' tokens: a JWK set, a public key as PEM, or for
            HS256 the secret.
        jwt_algorithms: that tokens may be signed with, separated by commas.
        jwt_issuer: who must have given the token; empty for anybody who has a key.
        jwt_audience: for whom the token must be; empty for anybody.
        jwt_leeway_s: seconds by which the clocks of issuer and server may differ.
        jwt_cache_s: seconds after which keys of a URL are fetched again.
        open_paths: that need no key or token and count for no rate, separated by commas.
        rate: requests a second of one key, or of one address without keys, in all workers; 0 for any.
        burst: requests that it may make at once after a pause; by default those of a second.
        cors_origins: of web pages that may ask, separated by commas; ``*`` for any. By default none.
        security_headers: forbid browsers to guess types, frame our pages or load others' scripts into them.
        inflate: take bodies that are compressed by gzip or deflate.
        inflate_ratio: how many times larger than what was sent such a body may be, from 64 KiB on.
        max_elements: numbers of one request; 0 for any. (`body_limit` bounds them too.)
        max_dims: dimensions of each of its tensors, that of the batch included; 0 for any.
        max_wait_ms: milliseconds that requests may have to wait for one model, as estimated from its speed,
            before more are refused; two full batches may wait in any case. 0 lets only `queue` bound them.
        tls_certificate: PEM file of a certificate and its chain; with it the server speaks TLS.
        tls_key: PEM file of its key.
        tls_client_ca: PEM file of the authorities of clients' certificates; with it each client needs one.
        grpc_port: port of the Open Inference Protocol over gRPC; 0 has none.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    open_when_ready: bool = False
    workers: int = 1
    threads: int = 0
    max_batch: int = 32
    max_delay_ms: float = 0
    queue: int = 512
    timeout_ms: float = 0
    hang_s: float = 300
    max_memory_mb: float = 0
    body_limit: int = 64 << 20
    head_limit: int = 32 << 10
    head_timeout_s: float = 10
    write_timeout_s: float = 30
    bodies_limit: int = 1 << 30
    slowest_bytes_per_s: float = 1000
    idle_timeout_s: float = 75
    drain_s: float = 30
    max_connections: int = 20_000
    models: Path = Path()
    name: str = "model"
    versions: str = "latest"
    watch_s: float = 1
    settle_s: float = 1
    state: Path = Path()
    admin_token: Path = Path()
    run_folder: Path = Path()
    access_log: bool = False
    metrics: bool = True
    access_log_file: Path = Path()
    slow_ms: float = 0
    dashboard: bool = True
    streams: int = 64
    jobs: int = 1000
    jobs_bytes: int = 1 << 30
    job_expiry_s: float = 3600
    webhooks: str = ""
    webhook_key: Path = Path()
    api_keys: Path = Path()
    jwt_keys: str = ""
    jwt_algorithms: str = "RS256,ES256"
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_leeway_s: float = 30
    jwt_cache_s: float = 300
    open_paths: str = "/health,/live,/ready,/ping"
    rate: float = 0
    burst: int = 0
    cors_origins: str = ""
    security_headers: bool = True
    inflate: bool = False
    inflate_ratio: float = 100
    max_elements: int = 0
    max_dims: int = 0
    max_wait_ms: float = 75
    tls_certificate: Path = Path()
    tls_key: Path = Path()
    tls_client_ca: Path = Path()
    grpc_port: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in ("int", "float") and not (
                isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            ):
                raise SpecError(
                    f"the setting {field.name} is {value!r}", why="allowed: 0 or more", fix="correct it"
                )
        for name in ("workers", "max_batch", "queue", "max_connections", "slowest_bytes_per_s"):
            if getattr(self, name) < 1:
                raise SpecError(
                    f"the setting {name} is {getattr(self, name)!r}",
                    why="allowed: 1 or more",
                    fix="correct it",
                )
        for name in ("port", "grpc_port"):
            if getattr(self, name) > LAST_PORT:
                raise SpecError(
                    f"the setting {name} is {getattr(self, name)!r}",
                    why=f"allowed: up to {LAST_PORT}",
                    fix="correct it",
                )
        if not NAME.fullmatch(self.name):
            raise SpecError(
                f"the setting name is {self.name!r}",
                why="allowed, as a part of URLs: letters, digits, dots, hyphens, underscores, at most 100",
                fix="correct it",
            )

    def changed(self, values: dict[str, Any]) -> ServerSettings:
        """These settings with some changed.

        Raises:
            SpecError: one is unknown or out of range.
        """
        known = {field.name: field.type for field in fields(self)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SpecError(
                f"the server has no setting {unknown[0]!r}",
                why=f"settings: {', '.join(known)}",
                fix="correct the name",
            )
        wanted: dict[str, Any] = {k: Path(v) if known[k] == "Path" else v for k, v in values.items()}
        return replace(self, **wanted)
