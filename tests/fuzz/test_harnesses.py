"""The harnesses of `make fuzz`: on what it starts from, on what it found, and on a little more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.fuzz.found import FOUND
from tools.fuzz.seeds import SEEDS, WORDS
from tools.fuzz.targets import TARGETS

KEPT = [(name, data) for name, seeds in SEEDS.items() for data in (*seeds, *FOUND.get(name, ()))]


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed with parts of it cut out, doubled or replaced."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 4) | st.integers(0, max(0, len(data) - start)))
        new = draw(st.sampled_from(WORDS) | st.binary(max_size=3) | st.just(data[start:end] * 2))
        data = data[:start] + new + data[end:]
    return data


def test_every_harness_has_seeds() -> None:
    assert SEEDS.keys() == TARGETS.keys()
    assert FOUND.keys() <= TARGETS.keys()


@pytest.mark.parametrize(("name", "data"), KEPT, ids=[f"{n}-{i}" for i, (n, _) in enumerate(KEPT)])
def test_what_was_kept_is_read_rightly_or_refused(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_rightly_or_refused(name: str) -> None:
    @settings(max_examples=150, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(st.binary(max_size=100) | mutated(SEEDS[name]))
    def run(data: Any) -> None:
        TARGETS[name](data)

    run()
