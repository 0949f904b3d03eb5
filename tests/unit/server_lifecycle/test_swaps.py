"""Versions are swapped and workers replaced under load; benchmarks/serving/swaps.py does it often."""

from __future__ import annotations

from benchmarks.serving.swaps import run


def test_swaps_and_restarts_lose_nothing_and_mix_nothing() -> None:
    outcome = run(swaps=6, restarts=2, workers=2, clients=6)
    assert outcome.wrong == ()
    assert outcome.right > 100
    assert outcome.versions >= 3


def test_one_worker_can_be_swapped_and_replaced_too() -> None:
    outcome = run(swaps=3, restarts=1, workers=1, clients=4)
    assert outcome.wrong == ()
