"""Predictions as steps: arrays to a request, an answer to arrays, in the protocol that the server offers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from clouddeploy.client import tensors
from clouddeploy.client.address import Address, check_header
from clouddeploy.client.breaker import Breaker
from clouddeploy.client.checks import check_body, check_kind, check_method, check_timeout, lowered
from clouddeploy.client.http1 import Answer
from clouddeploy.client.retries import Retries
from clouddeploy.client.settings import Timeouts
from clouddeploy.client.steps import Ask, Caller, Clock, Steps
from clouddeploy.errors import CloudDeployError, InputError, PredictionError, SpecError
from clouddeploy.spec import Reply

UNSUPPORTED = 415
AGENT = "clouddeploy-client"
Token = str | Callable[[], str]


class Predicting:
    """What `Client` and `AsyncClient` have in common: everything but waiting.

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
        clock: for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None,
        version: str | int | None,
        path: str,
        api_key: str | None,
        token: Token | None,
        headers: Mapping[str, str] | None,
        timeouts: Timeouts | None,
        retries: Retries | None,
        breaker: Breaker | None,
        clock: Clock | None,
    ) -> None:
        self.address = Address.of(url)
        _check_settings(timeouts, retries, breaker)
        _check_credentials(api_key, token)
        self.timeouts = timeouts or Timeouts()
        self._retries = retries or Retries()
        self._token = token
        self._headers = {"user-agent": AGENT, **({} if headers is None else lowered(headers))}
        if api_key is not None:
            check_header("x-api-key", api_key)
            self._headers["x-api-key"] = api_key
        self._path = _checked_path(path)
        self._model = _model_path(model, version)
        self._offer: tensors.Offer | None = None
        self._npy = True
        self._clock = clock or Clock()
        self.caller = Caller(self.address, self._current, self._retries, breaker or Breaker(), self._clock)

    def _current(self) -> Mapping[str, str]:
        if self._token is None:
            return self._headers
        token = self._token if isinstance(self._token, str) else self._token()
        check_header("authorization", token)
        return {**self._headers, "authorization": f"Bearer {token}"}

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        repeatable: bool,
        request_id: str | None = None,
        deadline: float | None = None,
    ) -> Ask:
        """A request with an id, and with the client's total time from now unless `deadline` is given."""
        check_method(method)
        check_body(body)
        made = request_id or secrets.token_hex(8)
        check_header("x-request-id", made)
        own = lowered(headers) if headers else {}
        until = self._clock.now() + self.timeouts.total_s if deadline is None else deadline
        return Ask(method, _checked_path(path), own, body, repeatable, made, until)

    def predict(self, inputs: Any, request_id: str | None, timeout_s: float | None) -> Steps[Any]:
        """The steps of one prediction."""
        from clouddeploy.runtime.errors import WireError

        wait_s = self.timeouts.total_s if timeout_s is None else check_timeout(timeout_s)
        deadline = self._clock.now() + wait_s
        made = request_id or secrets.token_hex(8)
        steps = self._by_v2 if self._model else self._by_wire
        try:
            return (yield from steps(inputs, made, deadline))
        except WireError as error:
            raise InputError(error.message, fix=error.fix, code=error.code, status=error.status) from error

    def _by_wire(self, inputs: Any, request_id: str, deadline: float) -> Steps[Any]:
        from clouddeploy.runtime import wire

        body, kind = wire.encode_inputs(inputs, None if self._npy else wire.JSON)
        try:
            answer = yield from self.send(body, kind, wire.ACCEPT, request_id, deadline)
        except InputError as error:
            if error.status != UNSUPPORTED or kind != wire.NPY:
                raise
            self._npy = False  # told once, remembered
            body, kind = wire.encode_inputs(inputs, wire.JSON)
            answer = yield from self.send(body, kind, wire.ACCEPT, request_id, deadline)
        return self._read(answer, lambda: wire.decode_predictions(answer.body, _kind(answer)))

    def _by_v2(self, inputs: Any, request_id: str, deadline: float) -> Steps[Any]:
        known = self._offer or (yield from self._learn(request_id, deadline))
        body, headers = tensors.write(inputs, known, request_id)
        path = f"{self._model}/infer"
        ask = self.ask(
            *("POST", path, body, headers),
            repeatable=self._retries.repeat_lost,
            request_id=request_id,
            deadline=deadline,
        )
        try:
            answer = yield from self.caller.call(ask)
        except CloudDeployError:
            self._offer = None  # another version may take other inputs
            raise
        return self._read(answer, lambda: tensors.read(answer.body, answer.headers))

    def _learn(self, request_id: str, deadline: float) -> Steps[tensors.Offer]:
        """Ask the server what it offers, and the model what it takes."""
        found = []
        for path in ("/v2", self._model):
            ask = self.ask("GET", path, repeatable=True, request_id=request_id, deadline=deadline)
            answer = yield from self.caller.call(ask)
            found.append(self._read(answer, partial(json.loads, answer.body)))
        self._offer = tensors.offer(*found)
        return self._offer

    def send(
        self,
        body: bytes,
        kind: str,
        accept: str,
        request_id: str | None = None,
        deadline: float | None = None,
    ) -> Steps[Answer]:
        """The steps of one prediction by the wire contract, bytes in and out."""
        ask = self.ask(
            *("POST", self._path, body, {"content-type": kind, "accept": accept}),
            repeatable=self._retries.repeat_lost,
            request_id=request_id,
            deadline=deadline,
        )
        return (yield from self.caller.call(ask))

    def _read(self, answer: Answer, read: Callable[[], Any]) -> Any:
        from clouddeploy.runtime.errors import WireError

        try:
            return read()
        except (WireError, ValueError, RecursionError) as error:
            fix = error.fix if isinstance(error, WireError) else "see whether the address is a server's"
            raise PredictionError(
                f"{self.address} answered what can't be read: {error}",
                fix=fix,
                code="bad_answer",
                status=answer.status,
            ) from error

    def ready(self) -> Steps[bool]:
        """Whether the server says that it can predict."""
        ask = self.ask("GET", "/v2/health/ready" if self._model else "/ready", repeatable=True)
        try:
            yield from self.caller.call(ask)
        except CloudDeployError:
            return False
        return True


def reply(answer: Answer) -> Reply:
    """An answer as the rest of clouddeploy passes it on."""
    return Reply(answer.body, _kind(answer), answer.headers)


def unmovable(client: object) -> str:
    """Why a client can't be pickled or copied, and what to do instead."""
    return (
        f"a {type(client).__name__} can't be pickled or copied: its connections belong to this process; "
        "make one in each process (a forked one may go on using it)"
    )


def _kind(answer: Answer) -> str:
    return answer.headers.get("content-type", "")


def _checked_path(path: str) -> str:
    check_kind("path", path, str, "a text such as /predict")
    if not path.startswith("/") or any(not 0x21 <= ord(sign) < 0x7F for sign in path):
        raise SpecError(
            f"the path {path!r} can't be asked for",
            why="it doesn't begin with a slash, or holds spaces, control characters or others than ASCII",
            fix="give one such as /predict",
        )
    return path


def _check_settings(timeouts: object, retries: object, breaker: object) -> None:
    for name, value, kind, example in (
        ("timeouts", timeouts, Timeouts, "Timeouts(total_s=5)"),
        ("retries", retries, Retries, "Retries(attempts=2)"),
        ("breaker", breaker, Breaker, "Breaker(failures=0), which never opens"),
    ):
        if value is not None:
            check_kind(name, value, kind, f"such as {example}, or None")


def _check_credentials(api_key: object, token: object) -> None:
    if api_key is not None:
        check_kind("api_key", api_key, str, "a text, or None", secret=True)
    if token is not None and not callable(token):
        check_kind("token", token, str, "a text, a function that gives one, or None", secret=True)


def _model_path(model: str | None, version: str | int | None) -> str:
    if model is None:
        if version is not None:
            raise SpecError(
                "a version without a model", why="version= says which of model=", fix="give model="
            )
        return ""
    check_kind("model", model or None, str, "the name of a model, or None")
    if version is not None:
        check_kind("version", version, (str, int), "a text or a whole number, or None")
    below = f"/versions/{quote(str(version), safe='')}" if version is not None else ""
    return f"/v2/models/{quote(model, safe='')}{below}"
