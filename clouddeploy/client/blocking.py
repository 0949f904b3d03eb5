"""`Client`: predictions from a server, blocking."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from clouddeploy.client.breaker import Breaker
from clouddeploy.client.checks import check_transport
from clouddeploy.client.pool import Pool
from clouddeploy.client.predicting import Predicting, Token, reply, unmovable
from clouddeploy.client.retries import Retries
from clouddeploy.client.settings import Timeouts
from clouddeploy.client.steps import Clock, Outcome, Pause, Steps
from clouddeploy.spec import Reply

T = TypeVar("T")
ANSWER_LIMIT = 1 << 30
IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))


class Client:
    """A client of a model server. May be shared by threads; use it as a context manager, or close it.

    Args:
        url: where the server is, such as ``http://127.0.0.1:8080``.
        model: a model's name: predictions then go by the Open Inference Protocol V2, with binary tensors
            when the server offers them (asked once). None: the wire contract, with npy for arrays.
        version: of the model; None leaves the choice to the server.
        path: where the wire contract's predictions go.
        api_key: sent as ``X-API-Key``.
        token: sent as ``Authorization: Bearer …``; a function is asked for it before each attempt.
        headers: sent with every request.
        timeouts: how long to wait.
        retries: when a request is sent again.
        breaker: when it isn't sent at all.
        connections: at the most; further threads wait for one.
        tls: trust for https, such as ``ssl.create_default_context(cafile=…)``; None is the system's.
        answer_limit: bytes of an answer at the most.
        clock, sleep: for tests.

    Raises:
        SpecError: one of these can't be used.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        version: str | int | None = None,
        path: str = "/predict",
        api_key: str | None = None,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        breaker: Breaker | None = None,
        connections: int = 32,
        tls: ssl.SSLContext | None = None,
        answer_limit: int = ANSWER_LIMIT,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connections = connections
        check_transport(self, connections, tls, answer_limit)
        self._sleep = sleep
        self._plan = Predicting(
            url,
            model=model,
            version=version,
            path=path,
            api_key=api_key,
            token=token,
            headers=headers,
            timeouts=timeouts,
            retries=retries,
            breaker=breaker,
            clock=clock,
        )
        self._pool = Pool(
            self._plan.address,
            self._plan.timeouts,
            tls,
            connections,
            answer_limit,
            (clock or Clock()).now,
        )

    def predict(self, inputs: Any, *, request_id: str | None = None, timeout_s: float | None = None) -> Any:
        """Predict for a batch, as `clouddeploy.Endpoint.predict` does.

        Args:
            inputs: an array or nested list whose first axis is the batch; for a model with several inputs
                a mapping of their names to such arrays.
            request_id: printable ASCII, to find the request in the server's log; made when not given.
            timeout_s: for this call, instead of `Timeouts.total_s`.

        Returns:
            A numpy array, batch first; for several outputs a mapping of their names to such arrays.

        Raises:
            InputError: the input doesn't fit the model.
            PredictionError: the model failed.
            Throttled: the server has too much to do, and still had after every retry.
            CredentialsError: the server refuses the caller.
            NotFound: the server has no such path, model or version.
            Timeout: no answer in time.
            CloudError: no connection (``code="unsent"``), one that broke (``"lost"``), no HTTP
                (``"malformed"``), no trust (``"tls"``), or a server that is left alone for a while because
                it failed too often (``"circuit_open"``).
        """
        return self._run(self._plan.predict(inputs, request_id, timeout_s))

    def predict_raw(
        self, body: bytes, *, content_type: str = "application/json", accept: str = "application/json"
    ) -> Reply:
        """Send bytes as the wire contract describes them, and return the answer's bytes.

        Raises:
            CloudDeployError: as `predict`.
        """
        return reply(self._run(self._plan.send(body, content_type, accept)))

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send any request, such as ``client.request("GET", "/metrics")``.

        Raises:
            CloudDeployError: as `predict`.
        """
        ask = self._plan.ask(method, path, body, headers, repeatable=method in IDEMPOTENT)
        return reply(self._run(self._plan.caller.call(ask)))

    def ready(self) -> bool:
        """Whether the server says that it can predict; False also when it doesn't answer."""
        return self._run(self._plan.ready())

    @property
    def circuit(self) -> str:
        """``closed``, ``open`` (calls fail at once) or ``half-open`` (the next one is tried)."""
        return self._plan.caller.circuit.state

    def _run(self, steps: Steps[T]) -> T:
        if self._pool.is_forked():
            self._plan.caller.forked()
        outcome: Outcome = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, Pause):
                    self._sleep(step.seconds)
                    outcome = None
                else:
                    outcome = self._pool.exchange(step)
        except StopIteration as end:
            found: T = end.value
            return found
        finally:
            steps.close()

    def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        self._pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(unmovable(self))

    def __repr__(self) -> str:
        return f"Client({str(self._plan.address)!r})"
