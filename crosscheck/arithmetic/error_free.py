"""Error-free transformations of float64: sums whose rounding is kept, and matrices cut to slices.

Knuth's and Dekker's sums, and pieces of so few bits that products of pieces add up without any
rounding in BLAS (Ozaki, Ogita, Oishi and Rump, *Error-free transformations of matrix
multiplication*, Numer. Algorithms 59 (2012)).
"""

import math
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic.formats import Array


class Pair(NamedTuple):
    """hi + lo, two float64 arrays of one shape, |lo| <= ulp(hi) / 2."""

    hi: Array
    lo: Array

    @property
    def transposed(self) -> "Pair":
        return Pair(self.hi.T, self.lo.T)


def exact(array: Array) -> Pair:
    """A float array as a pair."""
    hi = array.astype(np.float64)
    return Pair(hi, np.zeros_like(hi))


def two_sum(a: Array, b: Array) -> Pair:
    """a + b without any error: the rounded sum, and what was rounded (Knuth)."""
    total = a + b
    shifted = total - a
    return Pair(total, (a - (total - shifted)) + (b - shifted))


def fast_two_sum(large: Array, small: Array, out: Array | None = None) -> Pair:
    """The same for |large| >= |small|, in three operations (Dekker); `large` is written over.

    The sum is put into `out`, where that is given.
    """
    total = np.add(large, small, out)
    large -= total
    large += small
    return Pair(total, large)


def bits_of_slice(terms: int) -> int:
    """Bits of a piece, so that sums of so many products of pieces are exact in float64."""
    return (51 - math.ceil(math.log2(terms))) // 2


def unit_of_slice(largest: "Array | float", bits: int) -> "Array | float":
    """What rounds to so many bits under a power of two above `largest`, when it is added.

    ∞ or no number where there is no room above.
    """
    if isinstance(largest, float):  # several times as fast on one number
        return math.ldexp(1.5, math.frexp(largest)[1] + 52 - bits)
    return np.ldexp(1.5, np.frexp(largest)[1] + (52 - bits))


def leading(matrix: Array, unit: "Array | float", out: Array | None = None) -> Array:
    """The leading piece of each entry; matrix - piece is exact."""
    piece: Array = np.add(matrix, unit, out)
    piece -= unit
    return piece
