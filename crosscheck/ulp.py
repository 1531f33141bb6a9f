"""Distances in units in the last place, and effective bits.

ulp(x) = 2^(max(⌊log₂|x|⌋, e_min) - p + 1) at the exact x (Muller et al., *Handbook of
Floating-Point Arithmetic*, section 2.6). Distances are real numbers, not counts of floats.
"""

import math

import numpy as np

from crosscheck.formats import FloatFormat
from crosscheck.values import Array


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


def effective_bits(max_relative_error: float, of: FloatFormat) -> float:
    """How many leading bits are right in the worst entry: -log₂ of its relative error.

    Between 0 and p; NaN where no entry has a relative error.
    """
    if math.isnan(max_relative_error):
        return math.nan
    if max_relative_error >= 1:
        return 0.0
    if max_relative_error <= 2.0**-of.digits:
        return float(of.digits)
    return -math.log2(max_relative_error)
