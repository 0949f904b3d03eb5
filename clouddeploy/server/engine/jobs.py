"""One request on its way through the engine, and what may come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from clouddeploy.runtime.decode import JSON, Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service

SLOWEST_RETRY_S = 600


class Rows:
    """A request's examples as lists of numbers, read fast and not yet made an array.

    Args:
        values: one nested list, or one number, for each example.
        single: one example was asked for rather than a batch.
        apart: the answer is wanted as `Texts`, where it is written fast.
    """

    __slots__ = ("apart", "single", "size", "values")

    def __init__(self, values: list[Any], single: bool, *, apart: bool = False) -> None:
        self.values, self.single, self.size, self.apart = values, single, len(values), apart


class Texts:
    """Predictions as JSON, one text for each example.

    Args:
        rows: the texts.
        dtype: of the numbers.
        shape: of one example's prediction.
    """

    __slots__ = ("dtype", "rows", "shape")

    def __init__(self, rows: list[bytes], dtype: str, shape: tuple[int, ...]) -> None:
        self.rows, self.dtype, self.shape = rows, dtype, shape


class Call:
    """Code that must not run beside the model, such as one step of a generator of the handler's.

    Args:
        act: called without arguments where the model runs.
    """

    __slots__ = ("act",)
    size, single = 1, False

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act


@dataclass(frozen=True, slots=True)
class Returned:
    """What a `Call` returned.

    Args:
        value: of any kind.
    """

    value: Any


Outcome = bytes | Texts | Result | WireError | Returned
"""The JSON body for rows, or their texts; predictions to be written; a refusal; or what a call returned."""
Done = Callable[[Outcome], None]


class Caller(Protocol):
    """Who asked: an `Exchange`, or what looks like one.

    Attributes:
        gone: nobody waits for the answer any more.
        started: when it was asked, in `time.perf_counter`'s time.
    """

    gone: bool
    started: float

    @property
    def id(self) -> str:
        """The request's id, for the log."""


class Overloaded(WireError):
    """Too much waits already.

    Args:
        retry_after_s: seconds until what waits now has been answered, as measured.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        self.retry_after_s = max(1, min(SLOWEST_RETRY_S, int(retry_after_s) + 1))
        super().__init__("overloaded", message, f"try again in {self.retry_after_s} s")


def out_of_time() -> WireError:
    """The answer to a request whose deadline passed before it was predicted."""
    return WireError(
        "out_of_time", "the request's time was over before it was answered", "send fewer, or allow more time"
    )


class Job:
    """One request that waits for its predictions; its kinds know what follows from them.

    Args:
        request: what was asked.
        deadline: by when, in the engine's time; None waits for as long as it takes.
        body: the bytes of rows, to be read thoroughly when they don't fit.
        caller: who waits.

    Attributes:
        key: only jobs with the same one fit into one batch.
        over: it was told.
    """

    __slots__ = ("body", "caller", "deadline", "key", "over", "request", "size")

    def __init__(
        self, request: Request | Rows | Call, deadline: float | None, body: bytes, caller: Caller | None
    ) -> None:
        self.request = request
        self.deadline = deadline
        self.body = body
        self.caller = caller
        self.key: Any = None
        self.size = request.size
        self.over = False

    @property
    def request_id(self) -> str:
        """For the log."""
        return "" if self.caller is None else self.caller.id

    def read_again(self, service: Service) -> Request:
        """The request in `body`, read thoroughly, as the rows that were read fast don't fit.

        Raises:
            WireError: it isn't what the protocol or the signature allows.
        """
        return service.decode(self.body, JSON)

    def tell(self, outcome: Outcome) -> None:
        """Hear what came of it; in the event loop, once."""
        raise NotImplementedError


class Told(Job):
    """A job whose outcome a function is told.

    Args:
        request: as `Job`'s.
        deadline: as `Job`'s.
        done: told what came of it.
        request_id: for the log; by default the caller's.
        body: as `Job`'s.
        caller: as `Job`'s.
    """

    __slots__ = ("_done", "_request_id")

    def __init__(
        self,
        request: Request | Rows | Call,
        deadline: float | None,
        done: Done,
        request_id: str = "",
        body: bytes = b"",
        caller: Caller | None = None,
    ) -> None:
        super().__init__(request, deadline, body, caller)
        self._done, self._request_id = done, request_id

    @property
    def request_id(self) -> str:
        """For the log."""
        return self._request_id or super().request_id

    def tell(self, outcome: Outcome) -> None:
        """Call the function."""
        self._done(outcome)


def key_of(request: Request | Rows | Call, typed: bool) -> Any:
    """What tells whether two requests can be one batch: the shapes of their examples.

    Args:
        request: what was asked.
        typed: the signature tells the dtypes, so they are the same for all.
    """
    if isinstance(request, Rows):
        value, shape = request.values[0], []
        while isinstance(value, list):
            shape.append(len(value))
            value = value[0] if value else None
        return tuple(shape)
    if isinstance(request, Call):
        return request
    inputs = request.inputs
    if isinstance(inputs, dict):
        return tuple((name, inputs[name].shape[1:], inputs[name].dtype.str) for name in sorted(inputs))
    return inputs.shape[1:] if typed else (inputs.shape[1:], inputs.dtype.str)
