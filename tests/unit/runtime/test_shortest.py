from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.runtime.shortest import shortest


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=100))
def test_float32_comes_back_from_a_float64_parser(numbers: list[float]) -> None:
    values = np.array(numbers, dtype=np.float32)
    parsed = np.array([float(repr(number)) for number in shortest(values).tolist()])
    assert parsed.astype(np.float32).tobytes() == values.tobytes()


def test_every_finite_float16_comes_back_and_is_as_short_as_numpy_writes_it() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    values = every[np.isfinite(every)]
    found = shortest(values)
    assert found.astype(np.float16).tobytes() == values.tobytes()
    assert np.array_equal(found, np.array([float(str(value)) for value in values]))


def test_the_form_does_not_depend_on_how_many_numbers_are_written() -> None:
    bits = np.random.default_rng(7).integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)]
    together = shortest(values)
    alone = np.concatenate([shortest(values[i : i + 10]) for i in range(0, len(values), 10)])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1"), (-0.0, "-0.0"), (1e-45, "1e-45"), (16777216.0, "16777216.0")]
)
def test_float32_is_written_as_short_as_can_be(value: float, text: str) -> None:
    assert repr(shortest(np.array([value], dtype=np.float32)).tolist()[0]) == text


def test_a_decimal_that_two_roundings_would_move_is_written_longer() -> None:
    # rounding 7.038531e-26 to float64 first and to float32 then ends on the neighbour
    value = np.array(
        [np.float32("7.038531e-26"), np.nextafter(np.float32("7.038531e-26"), np.float32(0))], np.float32
    )
    assert shortest(value).astype(np.float32).tobytes() == value.tobytes()
