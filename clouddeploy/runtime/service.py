"""One loaded model and what it answers to a request: the same bytes wherever the artifact lands."""

from __future__ import annotations

import inspect
import os
import sys
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from clouddeploy.runtime import manifest as manifest_file
from clouddeploy.runtime.decode import JSON, Arrays, Request, decode, from_object, request_of
from clouddeploy.runtime.encode import Result, accepted, as_object, encode, result
from clouddeploy.runtime.errors import LoadError, WireError
from clouddeploy.runtime.handler import Predict, load_handler
from clouddeploy.runtime.loaders import load_model
from clouddeploy.runtime.signature import Signature
from clouddeploy.runtime.source import app_modules

_T = TypeVar("_T")

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of the largest body that is read, unless ``CLOUDDEPLOY_BODY_LIMIT`` says otherwise."""

THREADS = "CLOUDDEPLOY_THREADS"
"""Environment variable: threads of one prediction; 1 unless given, since requests run side by side."""


@dataclass(frozen=True)
class Answer:
    """A response: HTTP status, body, its media type, metadata headers (lower-case names), examples read."""

    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int = 0


class Service:
    """A loaded model behind the wire contract.

    Args:
        predict_arrays: inputs → outputs, arrays or dicts of arrays.
        signature: what is expected; empty where unknown.
        release: the model's digest, for the answer's headers.
        body_limit: bytes of the largest body that is read.

    Attributes:
        streams: predictions come bit by bit: `predict_arrays` is a generator function.
    """

    def __init__(
        self,
        predict_arrays: Predict,
        signature: Signature | None = None,
        release: str = "",
        body_limit: int = BODY_LIMIT,
    ) -> None:
        self._predict = predict_arrays
        self.streams = inspect.isgeneratorfunction(predict_arrays)
        self.signature = signature or Signature()
        self.release = release
        self.body_limit = body_limit

    @classmethod
    def load(
        cls,
        model_dir: Path,
        code_dir: Path | None = None,
        *,
        keep_path: bool = True,
        on_phase: Callable[[str], object] = str,
    ) -> Self:
        """Load what the manifest in `model_dir` tells.

        Args:
            model_dir: folder with ``clouddeploy.json`` and the weights.
            code_dir: folder with ``app/``, the user's code; by default ``code`` in `model_dir`.
            keep_path: leave the user's code importable afterwards, as a serving process wants it.
            on_phase: called with ``import`` and ``load`` as each begins.

        Raises:
            LoadError: it can't be loaded; its ``phase`` tells where.
        """
        model_dir = Path(model_dir).absolute()
        app = (Path(code_dir).absolute() if code_dir else model_dir / "code") / "app"
        manifest = manifest_file.read(model_dir)
        with app_modules(app, keep=keep_path):
            if manifest.get("handler"):
                predict = load_handler(app / manifest["handler"], model_dir, on_phase)
            else:
                on_phase("load")
                predict = load_model(model_dir, app.parent)
        if keep_path:
            _limit_threads()
        limit = _whole("CLOUDDEPLOY_BODY_LIMIT", BODY_LIMIT)
        return cls(predict, Signature.parse(manifest.get("signature")), manifest.get("model", ""), limit)

    def decode(self, body: bytes | str, content_type: str) -> Request:
        """The request in `body`.

        Raises:
            WireError: it is not what the wire contract or the signature allows.
        """
        if len(body) > self.body_limit:
            raise WireError(
                "too_large",
                f"the body has {len(body)} bytes; at most {self.body_limit} are read",
                "send fewer examples in one request",
            )
        return decode(body, content_type, self.signature)

    def predict(self, request: Request) -> Result:
        """What the model answers.

        Raises:
            WireError: ``bad_prediction``, or what the handler raised of this kind itself.
        """
        return result(self._named(self._predict(request.inputs)), request.size, request.single)

    def stream(self, request: Request) -> Generator[Result, None, None]:
        """What the model answers, one after another; a model that doesn't stream answers once.

        Closing the generator closes the model's own.

        Raises:
            WireError: as `predict`.
        """
        outputs = self._predict(request.inputs)
        if not inspect.isgenerator(outputs):
            yield result(self._named(outputs), request.size, request.single)
            return
        with closing(outputs):
            for one in outputs:
                yield result(self._named(one), request.size, request.single)

    def _named(self, outputs: Any) -> Any:
        """A tuple of arrays as a dict with the names of the signature's outputs."""
        if not isinstance(outputs, tuple):
            return outputs
        known = [tensor.name for tensor in self.signature.outputs]
        names = known if len(known) == len(outputs) else [f"output_{i}" for i in range(len(outputs))]
        return dict(zip(names, outputs, strict=True))

    def encode(self, answer: Result, accept: str = JSON) -> tuple[bytes, str]:
        """`answer` as bytes and their media type.

        Raises:
            WireError: no acceptable form, or NaN in a form that has none.
        """
        return encode(answer, accept)

    def call(self, inputs: Arrays) -> Any:
        """The predictions for a batch of arrays, without the wire in between.

        Raises:
            WireError: as `decode` and `predict`.
        """
        return self.predict(request_of(inputs, self.signature)).outputs

    def answer(
        self,
        body: bytes,
        content_type: str = JSON,
        accept: str = JSON,
        request_id: str = "",
        on_failure: Callable[[str], object] | None = None,
    ) -> Answer:
        """Answer a request; never raises.

        The trace of a failure goes to stderr under `request_id`, or to `on_failure`, which is called
        with the id while the exception is being handled.
        """
        started = time.perf_counter()
        size = 0

        def act() -> Answer:
            nonlocal size
            request = self.decode(body, content_type)
            size = request.size
            accepted(accept)
            return Answer(200, *self.encode(self.predict(request), accept))

        found = _attempt(act, request_id, on_failure or log_failure)
        if isinstance(found, WireError):
            found = Answer(found.status, found.body(), JSON)
        headers = {"server-timing": f"total;dur={(time.perf_counter() - started) * 1e3:.3f}"}
        if self.release:
            headers["x-clouddeploy-model"] = self.release
        if request_id:
            headers["x-request-id"] = request_id
        return Answer(found.status, found.body, found.content_type, headers, size)

    def answer_object(
        self, value: Any, request_id: str = "", on_failure: Callable[[str], object] | None = None
    ) -> tuple[dict[str, Any] | WireError, int]:
        """Answer a request whose JSON is parsed already: the object to send, and the examples in it.

        As `answer`, which alone sees a key that stands twice in an object.
        """
        size = 0

        def act() -> dict[str, Any]:
            nonlocal size
            request = from_object(value, self.signature)
            size = request.size
            return as_object(self.predict(request))

        return _attempt(act, request_id, on_failure or log_failure), size


def _attempt(act: Callable[[], _T], request_id: str, tell: Callable[[str], object]) -> _T | WireError:
    """What `act` returns, or what to answer in its place; `tell` hears of what is not the caller's fault."""
    try:
        return act()
    except WireError as error:
        if error.status >= 500:
            tell(request_id)
        return error
    except (Exception, SystemExit):  # noqa: BLE001  # the handler is anybody's code; the process must go on
        tell(request_id)
        return prediction_failed(request_id)


def prediction_failed(request_id: str = "") -> WireError:
    """The answer to a request on which the model's code failed; tells nothing of its inside."""
    where = f" under {request_id}" if request_id else ""
    return WireError(
        "prediction_failed", "the model failed on this input", f"see the trace in the endpoint's log{where}"
    )


def log_failure(request_id: str) -> None:
    """Write the exception being handled to stderr, each line under the request's id."""
    prefix = f"[{request_id or '-'}] "
    lines = traceback.format_exc().splitlines()
    sys.stderr.write("".join(f"{prefix}{line}\n" for line in lines))
    sys.stderr.flush()


def _limit_threads() -> None:
    torch = sys.modules.get("torch")
    if torch is None:
        return
    torch.set_num_threads(max(1, _whole(THREADS, _whole("OMP_NUM_THREADS", 1))))


def _whole(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal():
        raise LoadError(f"the environment variable {variable} is {text!r}, no whole number")
    return int(text)
