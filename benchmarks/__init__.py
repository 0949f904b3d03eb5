"""Measurements against the tools one would otherwise pick, each as a ratio within one run.

Run them all with ``python -m benchmarks``, or one with ``python -m benchmarks.imports``. Runs
alternate between ours and the peer's, and medians are compared: absolute times on shared machines
mean little.
"""
