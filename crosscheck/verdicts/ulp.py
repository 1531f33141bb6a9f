"""Distances in units in the last place, and effective bits.

ulp(x) = 2^(max(⌊log₂|x|⌋, e_min) - p + 1) at the exact x (Muller et al., *Handbook of
Floating-Point Arithmetic*, section 2.6). Distances are real numbers, not counts of floats.
"""

import math
from collections.abc import Iterable

import numpy as np

from crosscheck.arithmetic.formats import FloatFormat
from crosscheck.networks.network import Array


def ulp(exact: Array, of: FloatFormat) -> Array:
    """The unit in the last place at `exact` (float64) in the format; the shape of `exact`."""
    _, exponent = np.frexp(np.abs(exact))
    exponent = np.where(exact == 0, of.exponent_min, exponent - 1)
    places = np.maximum(exponent, of.exponent_min) - of.digits + 1
    unit: Array = np.ldexp(1.0, places)
    return unit


def in_ulps(error: Array, exact: Array, of: FloatFormat) -> Array:
    """|error| in units in the last place at `exact`; both float64."""
    with np.errstate(over="ignore"):
        distance: Array = np.abs(error) / ulp(exact, of)
    return distance


def effective_bits(relative_errors: Iterable[float], of: FloatFormat) -> list[float]:
    """How many leading bits are right, by relative errors: -log₂ of each.

    Between 0 and p; NaN where there is no relative error. NumPy's logarithms differ between
    processors.
    """
    most, least, log2 = float(of.digits), 2.0**-of.digits, math.log2
    return [
        x if x != x else 0.0 if x >= 1 else most if x <= least else -log2(x)
        for x in relative_errors
    ]
