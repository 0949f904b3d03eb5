"""`Endpoint`: the handle of what runs, the same on every target."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import CloudError, InputError, NotFound, SpecError, Timeout
from clouddeploy.spec import Autoscaling, Reply, Status

if TYPE_CHECKING:
    from clouddeploy.deployer import Deployer

HOUR_S = 3600.0


@dataclass(frozen=True, repr=False)
class Endpoint:
    """What runs under a name on a target. Holding it costs nothing and makes no call.

    Args:
        name: the deployment's name.
        deployer: where it runs.
    """

    name: str
    deployer: Deployer

    @property
    def target(self) -> str:
        """The target's name, such as ``"sagemaker"``."""
        return self.deployer.target

    def predict(self, inputs: Any) -> Any:
        """Predict for a batch.

        Args:
            inputs: for a model with one input an array or nested list whose first axis is the
                batch; for one with several a mapping of input names to such arrays.

        Returns:
            A numpy array of the predictions, batch first, with the model's own dtype; for a model
            with several outputs a mapping of output names to such arrays.

        Raises:
            InputError: the input doesn't fit the model.
            PredictionError: the model failed.
            NotFound: nothing runs under the name.
        """
        from clouddeploy.runtime import wire
        from clouddeploy.runtime.errors import WireError

        try:
            body, content_type = wire.encode_inputs(inputs)
            reply = self.predict_raw(body, content_type=content_type, accept=wire.ACCEPT)
            return wire.decode_predictions(reply.body, reply.content_type)
        except WireError as error:
            raise InputError(error.message, fix=error.fix, code=error.code, status=error.status) from error

    def predict_raw(
        self, body: bytes, *, content_type: str = "application/json", accept: str = "application/json"
    ) -> Reply:
        """Send bytes as the wire contract describes them, and return the answer's bytes.

        Raises:
            InputError, PredictionError, NotFound: as for `predict`.
        """
        return self.deployer.provider.invoke(self.name, body, content_type=content_type, accept=accept)

    def status(self) -> Status:
        """How it stands now; phase ``missing`` when there is nothing of that name."""
        return self.deployer.provider.status(self.name)

    def wait(self, timeout_s: float = HOUR_S, *, poll_s: float = 5.0) -> Endpoint:
        """Return itself when it is ready.

        Raises:
            NotFound: nothing runs under the name.
            CloudError: it failed; says why.
            Timeout: it was not ready after `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status()
            if status.phase == "ready":
                return self
            if status.phase == "missing":
                raise NotFound(f"nothing runs under {self.name!r} on {self.target}", fix="deploy it first")
            if status.phase == "failed":
                raise CloudError(f"{self.name!r} is {status.native}", why=status.reason, fix="see its logs()")
            if time.monotonic() + poll_s > deadline:
                raise Timeout(
                    f"{self.name!r} is still {status.native} after {timeout_s:g} s",
                    fix="wait longer, or see its logs()",
                )
            time.sleep(poll_s)

    def logs(self, *, since_s: float = HOUR_S, limit: int = 100) -> Iterator[str]:
        """The last `limit` log lines of the past `since_s` seconds, oldest first."""
        return self.deployer.provider.logs(self.name, since_s=since_s, limit=limit)

    def metrics(self, *, since_s: float = HOUR_S) -> Mapping[str, float]:
        """``requests``, ``errors_4xx``, ``errors_5xx`` and ``latency_ms`` of the past `since_s` seconds."""
        return self.deployer.provider.metrics(self.name, since_s=since_s)

    def describe(self) -> Mapping[str, Any]:
        """The provider's own identifiers (names, ARNs, URLs), for other tools."""
        return self.deployer.provider.describe(self.name)

    @property
    def url(self) -> str:
        """Its address, for clients other than this one; empty where it has none.

        What stands before a path differs: docs of each target tell what to append, and who may ask.

        Raises:
            NotFound: nothing runs under the name.
        """
        return str(self.describe().get("url", ""))

    def rollback(self, release: str | None = None) -> Endpoint:
        """Serve a kept release again; None is the newest before the serving one."""
        return self.deployer.rollback(self.name, release)

    def releases(self) -> list[str]:
        """Digests of the releases that are kept, the serving one first, then newest first."""
        return list(self.deployer.provider.releases(self.name))

    @property
    def traffic(self) -> Mapping[str, int]:
        """Percent of the requests that each release gets, by digest.

        Raises:
            NotFound: nothing runs under the name.
        """
        return self.deployer.provider.traffic(self.name)

    def split(self, shares: Mapping[str, int]) -> Endpoint:
        """Give each kept release its percent of the requests, as ``{new: 10, old: 90}``.

        Raises:
            as for `Deployer.split`.
        """
        return self.deployer.split(self.name, shares)

    def scale(self, autoscaling: Autoscaling) -> Endpoint:
        """Change how many copies there are, and nothing else; the next deploy sets its own.

        Raises:
            as for `Deployer.scale`.
        """
        return self.deployer.scale(self.name, autoscaling)

    def delete(self) -> None:
        """Remove everything that belongs to it. Deleting what is gone succeeds."""
        self.deployer.delete(self.name)

    def to_sagemaker(self) -> Any:
        """The same endpoint as a ``sagemaker.core.resources.Endpoint`` of the SageMaker SDK.

        Raises:
            SpecError: it doesn't run on SageMaker.
            TargetError: the SageMaker SDK isn't installed.
        """
        convert = getattr(self.deployer.provider, "to_sagemaker", None)
        if convert is None:
            raise SpecError(
                f"{self.name!r} runs on {self.target}, not on SageMaker",
                fix="call to_sagemaker() on an endpoint of Deployer('sagemaker')",
            )
        return convert(self.name)

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r} on {self.target})"

    def _repr_html_(self) -> str:
        status = self.status()
        rows = {
            "endpoint": self.name,
            "target": self.target,
            "status": f"{status.phase} ({status.native})",
            "release": status.release[:10] or "unknown",
            "copies": "unknown" if status.copies is None else str(status.copies),
        }
        if status.reason:
            rows["reason"] = status.reason
        cells = "".join(
            f"<tr><th style='text-align:left'>{k}</th><td style='text-align:left'>{html.escape(v)}</td></tr>"
            for k, v in rows.items()
        )
        return f"<table>{cells}</table>"
