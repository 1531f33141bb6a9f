"""exp of double-doubles, four times as fast as xprec's on arrays, and as accurate.

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
