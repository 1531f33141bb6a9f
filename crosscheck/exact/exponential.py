"""exp of double-doubles: one as accurate as xprec's, and one to 2^-75 in float64 alone.

`exp` is four times as fast as xprec's on arrays.

x = k ln 2 / 64 + r with a whole k and |r| <= ln 2 / 128: exp x = 2^(k / 64) exp r. The power is
from a table; of exp r the first six terms are added up in double-doubles and seven more, which
are 2^-48 of the sum and smaller, in float64 (Tang, *Table-driven implementation of the
exponential function*, ACM TOMS 15 (1989)). The relative error is 2^-103 for |x| below 5, and
|x| 2^-105 beyond, as measured against balls.
"""

from decimal import Decimal, localcontext
from functools import lru_cache
from math import factorial
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.error_free import Pair, fast_two_sum
from crosscheck.arithmetic.formats import Array

STEPS = 64
"""Intervals in a factor of 2."""

EXACT_TERMS, TERMS = 6, 13
"""Terms of the series in double-doubles, and in all: r^13 / 13! is below 2^-130."""

LEAST = -1000.0
"""exp of less is 0 in float64."""

ACCURATE_DIGITS = 50


class Constants(NamedTuple):
    """2^(j / 64), ln 2 / 64, and 1 / n! as double-doubles; the later 1 / n! as floats."""

    powers: Any
    step: Any
    reciprocals: Any
    tail: list[float]


@lru_cache
def _constants(ddouble: Any) -> Constants:
    def wide(numbers: list[Decimal]) -> Any:
        pairs = [(float(x), float(x - Decimal(float(x)))) for x in numbers]
        return np.array(pairs).view(ddouble)[..., 0]

    with localcontext() as context:
        context.prec = ACCURATE_DIGITS
        step = Decimal(2).ln() / STEPS
        return Constants(
            wide([(step * j).exp() for j in range(STEPS)]),
            wide([step])[0],
            wide([1 / Decimal(factorial(n)) for n in range(EXACT_TERMS)]),
            [1 / factorial(n) for n in range(EXACT_TERMS, TERMS)],
        )


def exp(x: Any) -> Any:
    """exp of an array of xprec's double-doubles, none of which is positive."""
    powers, step, reciprocals, tail = _constants(x.dtype.type)
    x = np.maximum(x, LEAST)
    k = np.rint(x.astype(np.float64) * float(1 / step))
    r = x - k * step
    small = r.astype(np.float64)
    rest = np.full(small.shape, tail[-1])
    for reciprocal in tail[-2::-1]:
        rest *= small
        rest += reciprocal
    total = rest * r
    for n in range(EXACT_TERMS - 1, -1, -1):
        total = total + reciprocals[n]
        total = total * r if n else total
    whole = k.astype(np.int64)
    return total * powers[whole % STEPS] * np.ldexp(1.0, whole // STEPS)


FINE_STEPS = 8192
"""Intervals in a factor of 2, so that r is below 2^-14.5 and r^5 / 5! the last term to count."""

STEP_BITS = 33
"""Bits of the leading part of ln 2 / 8192, so that its first 2^20 multiples are exact."""

HIGH_BITS = 26
"""Bits behind the point of the leading part of a power, whose product with r's is exact."""

R_SHIFT = 1.5 * 2.0 ** (52 - 14 - HIGH_BITS)
"""Added and taken away again, it leaves of |r| < 2^-14 what is above 2^-40."""

MOST_OF_PAIR = 88.0
"""The largest |x| that `exp_of_pair` takes: k is below 2^20 there."""


def error_of_pair(most: float) -> float:
    """The relative error of `exp_of_pair` for |x| up to `most`.

    Rests of powers are about 2^-27 at most and rounded four times, terms of r^2 / 2 < 2^-30 a
    dozen times, and r^6 / 6! is below 2^-96: 2^-77.5 in all. What of k ln 2 / 8192 is behind
    STEP_BITS is below 2^-33 |x|: also rounded a dozen times, 2^-82.5 |x|, and its cube over six,
    which is left out, is below 2^-88 |x| up to 88.
    """
    return 2.0**-77 + most * 2.0**-82


class FineConstants(NamedTuple):
    """2^(j / 8192) as leading part and rest; ln 2 / 8192 likewise."""

    high: Array
    low: Array
    step: float
    step_rest: float


@lru_cache
def _fine_constants() -> FineConstants:
    with localcontext() as context:
        context.prec = ACCURATE_DIGITS
        step = Decimal(2).ln() / FINE_STEPS
        unit = Decimal(2) ** (int(np.frexp(float(step))[1]) - STEP_BITS)
        lead = int(step / unit) * unit
        factor, power = step.exp(), Decimal(1)
        high, low = [], []
        for _ in range(FINE_STEPS):
            high.append(round(power * 2**HIGH_BITS) * 2.0**-HIGH_BITS)
            low.append(float(power - Decimal(high[-1])))
            power *= factor
        return FineConstants(np.array(high), np.array(low), float(lead), float(step - lead))


def exp_of_pair(x: Array, low: Array) -> Pair:
    """exp(x + low) as a pair, for -88 <= x <= 0 and |low| at most an ulp of x.

    As above, with more steps: what is behind the leading bits of a power and of r is small enough
    for float64. The products of those leading bits are exact.
    """
    k, r, behind = _reduced(x, low)
    curved = _curved_part(r)
    _add_growth(curved, r, _expm1_of_tiny(behind))
    leading, rest = _times_power(k, r, curved)
    return _scaled(leading, rest, k)


def _reduced(x: Array, low: Array) -> tuple[Array, Array, Array]:
    """k, whole; r; and what is behind r of float64: x + low = k ln 2 / 8192 + r + behind."""
    _, _, step, step_rest = _fine_constants()
    k = np.rint(x * (1 / step))
    r = x - k * step
    whole = k.astype(np.int64)
    k *= -step_rest
    k += low
    return whole, r, k


def _expm1_of_tiny(x: Array) -> Array:
    """exp(x) - 1, by two terms."""
    value = x * 0.5
    value *= x
    value += x
    return value


def _curved_part(r: Array) -> Array:
    """exp(r) - 1 - r, to r^5 / 5!."""
    value = r * (1 / 120)
    for reciprocal in (1 / 24, 1 / 6, 1 / 2):
        value += reciprocal
        value *= r
    value *= r
    return value


def _add_growth(curved: Array, r: Array, growth: Array) -> None:
    """exp(r) - 1 - r becomes exp(r + t) - 1 - r, for growth = exp(t) - 1."""
    whole = r + curved
    whole += 1
    whole *= growth
    curved += whole


def _times_power(k: Array, r: Array, curved: Array) -> tuple[Array, Array]:
    """2^(k / 8192 mod 1) (1 + r + curved): its leading part, and the small rest.

    The leading bits of the power and of r are multiplied exactly.
    """
    high, low, _, _ = _fine_constants()
    place = k & (FINE_STEPS - 1)
    power, of_rest = high.take(place), low.take(place)
    leading = r + R_SHIFT
    leading -= R_SHIFT
    small = r - leading
    small += curved
    curved += r
    leading *= power
    small *= power
    curved *= of_rest
    curved += of_rest
    small += curved
    total, rounded = fast_two_sum(power, leading)
    small += rounded
    return total, small


def _scaled(leading: Array, rest: Array, k: Array) -> Pair:
    """Their sum as a pair, times 2^(k / 8192) for the whole powers in it."""
    hi, lo = fast_two_sum(leading, rest)
    k >>= FINE_STEPS.bit_length() - 1
    power = k.astype(np.int32)  # whose ldexp is three times as fast
    return Pair(np.ldexp(hi, power), np.ldexp(lo, power))
