"""Error-free transformations: nothing is lost, in fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crosscheck.arithmetic.error_free import (
    bits_of_slice,
    fast_two_sum,
    leading,
    two_sum,
    unit_of_slice,
)

NUMBERS = st.floats(-1e200, 1e200)


def whole(pair):
    return Fraction(float(pair.hi)) + Fraction(float(pair.lo))


@given(NUMBERS, NUMBERS)
def test_a_sum_of_two_is_exact(x, y):
    pair = two_sum(np.float64(x), np.float64(y))
    assert whole(pair) == Fraction(x) + Fraction(y)
    assert pair.hi == x + y


@given(NUMBERS, NUMBERS)
def test_the_fast_one_is_the_same_where_the_first_is_the_larger(x, y):
    large, small = sorted((x, y), key=abs, reverse=True)
    assert fast_two_sum(np.float64(large), np.float64(small)) == two_sum(x, y)


def test_the_fast_one_is_wrong_where_the_first_is_the_smaller():
    assert whole(fast_two_sum(np.float64(2.0**-60), np.float64(1 + 2.0**-52))) != Fraction(
        1 + 2.0**-52
    ) + Fraction(2.0**-60)


@given(st.integers(0, 2**32), st.integers(1, 200), st.sampled_from([0, 5, 150]))
def test_products_of_pieces_add_up_exactly(seed, n, spread):
    """In any order: here from one end and from the other; and what is left is below the unit."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((2, n)) * 10.0 ** rng.integers(-spread, spread + 1, (2, n))
    bits = bits_of_slice(n)
    largest = np.abs(rows).max(1, keepdims=True)
    a, b = pieces = leading(rows, unit_of_slice(largest, bits))
    terms = a * b
    exact = sum(Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True))
    forward, back = sum(terms.tolist()), sum(terms[::-1].tolist())
    assert Fraction(forward) == Fraction(back) == exact
    assert np.all(np.abs(rows - pieces) <= largest * 2.0**-bits)


def test_pieces_of_more_bits_do_not():
    """The bits are nearly as many as there may be: with five more, sums are rounded."""
    n, rng = 64, np.random.default_rng(0)
    a, b = rng.uniform(0.5, 1.0, (2, n))
    unit = unit_of_slice(1.0, bits_of_slice(n) + 5)
    x, y = leading(a, unit), leading(b, unit)
    exact = sum(Fraction(p) * Fraction(q) for p, q in zip(x.tolist(), y.tolist(), strict=True))
    assert Fraction(float(sum((x * y).tolist()))) != exact


@pytest.mark.parametrize("bits", [3, 20])
def test_one_number_is_cut_as_an_array_is(bits):
    for largest in (1.0, 0.75, 3e200, 5e-320):
        assert unit_of_slice(largest, bits) == unit_of_slice(np.array([largest]), bits)[0]
