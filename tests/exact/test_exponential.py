"""exp of double-doubles against balls."""

import flint
import numpy as np
import pytest

from crosscheck.arithmetic.error_free import Pair
from crosscheck.exact import double_double as dd
from crosscheck.exact.exponential import MOST_OF_PAIR, error_of_pair, exp, exp_of_pair


def relative_error(x, value):
    """Of one double-double against exp of another, at 300 bits."""
    exact, got = (flint.arb(float(pair[0])) + flint.arb(float(pair[1])) for pair in (x, value))
    return float(abs((got / exact.exp() - 1).mid()))


@pytest.mark.parametrize("spread", [1e-20, 1e-3, 1.0, 5.0, 100.0, 600.0])
def test_it_is_as_accurate_as_the_bound_takes_it_to_be(spread):
    """2^-96 is what a sigmoid of ten units of 2^-98 has room for."""
    rng = np.random.default_rng(0)
    hi = -rng.uniform(0, spread, 300)
    x = Pair(hi, np.spacing(hi) * rng.uniform(-0.5, 0.5, 300))
    got = dd.pair_of(exp(dd.wide(x)))
    precision = flint.ctx.prec
    flint.ctx.prec = 300
    try:
        pairs = zip(np.stack(x, axis=1), np.stack(got, axis=1), strict=True)
        errors = [relative_error(*of) for of in pairs]
    finally:
        flint.ctx.prec = precision
    assert max(errors) <= max(2.0**-102, spread * 2.0**-105)
    assert max(errors) <= 2.0**-96


@pytest.mark.parametrize("spread", [1e-20, 1e-3, 1.0, 5.0, 30.0, MOST_OF_PAIR])
def test_the_one_in_float64_is_as_accurate_as_its_error_says(spread):
    rng = np.random.default_rng(1)
    x = -np.append(rng.uniform(0, spread, 1000), [0.0, spread])
    low = np.spacing(x) * rng.uniform(-0.5, 0.5, len(x))
    got = exp_of_pair(x, low)
    precision = flint.ctx.prec
    flint.ctx.prec = 300
    try:
        errors = [relative_error(of[:2], of[2:]) for of in zip(x, low, *got, strict=True)]
    finally:
        flint.ctx.prec = precision
    assert max(errors) <= error_of_pair(spread) / 1.5
    assert max(errors) >= error_of_pair(spread) / 32 or spread < 1  # the error says something
    assert np.all(np.abs(got[1]) <= 2.0**-52 * got[0])


def test_zero_and_what_underflows():
    x = dd.exact(np.array([0.0, -0.0, -745.2, -1e5, -1e300, -np.inf]))
    got = dd.pair_of(exp(dd.wide(x)))
    np.testing.assert_array_equal(got.hi[:2], 1.0)
    np.testing.assert_array_equal(got.lo[:2], 0.0)
    assert np.all(got.hi[2:] <= 5e-324)


def test_a_float64_exponential_would_not_do():
    """The test above can fail: np.exp is right to 2^-53 only."""
    x = np.array([-0.3, -1.7, -20.1])
    plain, wide = np.exp(x), dd.pair_of(exp(dd.wide(dd.exact(x))))
    assert np.all(np.abs(wide.lo / wide.hi) < 2.0**-52)
    assert np.all(wide.lo != 0)
    np.testing.assert_allclose(plain, wide.hi, rtol=2.0**-51)
