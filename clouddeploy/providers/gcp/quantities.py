"""Amounts of memory and processor, as Google's APIs write them."""

from __future__ import annotations

import re

_UNITS = {"": 1 / (1 << 20), "k": 1 / 1024, "M": 1, "Mi": 1, "G": 1024, "Gi": 1024}
"""MiB; Google's own 256M is 256 MiB."""


def mebibytes(quantity: str) -> int:
    """``"256M"``, ``"1Gi"`` or bytes -> MiB; 0 for what can't be read."""
    found = re.fullmatch(r"([0-9.]+)([kMG]i?|)", quantity)
    if not found or found[2] not in _UNITS:
        return 0
    return round(float(found[1]) * _UNITS[found[2]])


def written_cpu(cpu: float) -> str:
    """A number of CPUs as the API takes and tells it, such as ``0.583`` or ``1``."""
    return f"{cpu:g}"


def told_cpu(text: str) -> str:
    """``"1000m"``, ``"1"`` and ``"1.0"`` are one number, in the form of `written_cpu`."""
    try:
        return written_cpu(float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1))
    except ValueError:
        return text
