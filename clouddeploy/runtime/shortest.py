"""The shortest decimals that give a float32 or float16 back, also when they are parsed as float64.

Every JSON parser reads numbers as float64. Digits that are right for a direct float32 parser can
end on a neighbour when they are rounded twice, so each candidate is tested through float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_PRECISIONS = {"float32": (6, 7, 8, 9), "float16": (3, 4, 5)}
_TEN = 10.0 ** np.arange(23)  # each exact in float64
_LOW, _HIGH = 1e-14, 1e15  # within these every power of ten used below is exact
_FLOAT16_NORMAL = 6.2e-5  # subnormals have fewer digits than _PRECISIONS starts with
_SMALL = 64  # below this many numbers the plain loop is faster


def shortest(values: NDArray[Any]) -> NDArray[np.float64]:
    """float64 numbers, of the same shape, whose ``repr`` is the shortest decimal for `values`.

    Args:
        values: finite float16 or float32 numbers of any shape.
    """
    flat = values.reshape(-1)
    exact = flat.astype(np.float64)
    if flat.size < _SMALL:
        short_ones = np.array([float(str(value)) for value in flat], dtype=np.float64)
        return np.where(short_ones.astype(flat.dtype) == flat, short_ones, exact).reshape(values.shape)
    magnitude = np.abs(exact)
    low = _FLOAT16_NORMAL if flat.dtype == np.float16 else _LOW
    regular = (magnitude >= low) & (magnitude < _HIGH)
    left = _round(flat, exact, magnitude, np.flatnonzero(regular))
    rest = np.concatenate([np.flatnonzero(~regular & (magnitude > 0)), left])
    kind = flat.dtype.type
    for i in rest:
        short = float(str(flat[i]))
        if kind(short) == flat[i]:
            exact[i] = short
    return exact.reshape(values.shape)


def _round(
    flat: NDArray[Any], exact: NDArray[np.float64], magnitude: NDArray[np.float64], todo: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Round ``exact[todo]`` in place to the fewest digits that give `flat` back; what is left."""
    exponent = np.floor(np.log10(magnitude[todo])).astype(np.intp)
    for precision in _PRECISIONS[flat.dtype.name]:
        shift = precision - 1 - exponent
        up, down = _TEN[np.maximum(shift, 0)], _TEN[np.maximum(-shift, 0)]
        scaled = exact[todo] * up / down
        whole = np.rint(scaled)
        short = whole / up * down
        with np.errstate(over="ignore"):
            good = short.astype(flat.dtype) == flat[todo]
        if not good.all():  # beside a power of two the nearest may miss where the next one hits
            other = (whole + np.sign(scaled - whole)) / up * down
            short = np.where(good, short, other)
            with np.errstate(over="ignore"):
                good |= other.astype(flat.dtype) == flat[todo]
        exact[todo[good]] = short[good]
        todo, exponent = todo[~good], exponent[~good]
    return todo
