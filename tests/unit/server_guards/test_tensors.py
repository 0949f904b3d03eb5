"""How large a request's tensors may be."""

from __future__ import annotations

import numpy as np
import pytest

from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.engine.jobs import Rows
from clouddeploy.server.guards.tensors import Limits, check_of
from clouddeploy.server.settings import ServerSettings
from tests.unit.server_engine.rig import engine_of

ZEROS = np.zeros((2, 3, 4), np.float32)


@pytest.mark.parametrize(
    "request_",
    [
        Request(ZEROS, 2),
        Request({"a": np.zeros((2, 3), np.float32), "b": np.zeros((2, 3, 3), np.float32)}, 2),
        Rows(ZEROS.tolist(), single=False),
    ],
    ids=["array", "several", "rows"],
)
def test_numbers_and_dimensions_are_counted(request_: Request | Rows) -> None:
    Limits(24, 3).check(request_)
    with pytest.raises(WireError, match="24 numbers; at most 23") as caught:
        Limits(23, 0).check(request_)
    assert caught.value.code == "too_large"
    with pytest.raises(WireError, match="3 dimensions; at most 2") as caught:
        Limits(0, 2).check(request_)
    assert caught.value.code == "bad_shape"


def test_ragged_rows_are_counted_too() -> None:
    with pytest.raises(WireError, match="4 numbers"):
        Limits(3, 0).check(Rows([1, [2, [3, 4]]], single=False))


def test_without_a_limit_nothing_is_counted() -> None:
    assert check_of(ServerSettings()) is None
    assert check_of(ServerSettings(max_dims=2)) is not None


def test_the_engine_asks_before_it_lets_a_request_wait() -> None:
    engine = engine_of(lambda x: x)
    engine.check = Limits(3, 0).check
    with pytest.raises(WireError, match="numbers"):
        engine.submit(Request(ZEROS, 2), None, lambda outcome: None)
