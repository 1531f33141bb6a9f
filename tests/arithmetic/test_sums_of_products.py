"""E of sums of products, in each of the ways that they are formed, against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import rules_of
from crosscheck.arithmetic.sums_of_products import FACTORED, SEPARATE, Uncertain

STORED = rules_of(Arithmetic("float32"))
WAYS = {
    "separate": STORED,
    "factored": STORED.quick,
    "wider": rules_of(Arithmetic("float32", accumulate="float64")),
    "wider, quick": rules_of(Arithmetic("float32", accumulate="float64")).quick,
}


def operands(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((3, n)).astype("f4"), rng.standard_normal((n, 2)).astype("f4"))


def known(x, error=None):
    return Uncertain(np.abs(x.astype(float)), error)


def exactly(x, y):
    terms = ((Fraction(float(a)) * Fraction(float(b))) for a, b in zip(x, y, strict=True))
    return float(sum(terms))


@pytest.mark.parametrize("way", WAYS)
def test_a_product_stays_within_and_one_in_a_coarser_format_does_not(way):
    rules, (x, y) = WAYS[way], operands()
    exact = np.array([[exactly(row, column) for column in y.T] for row in x])
    allowed = rules.product(known(x), known(y), x.astype(float) @ y)
    inner = np.float64 if rules.sums.wider else np.float32
    computed = (x.astype(inner) @ y.astype(inner)).astype(np.float32)
    assert np.all(np.abs(computed - exact) <= allowed)
    assert np.any(np.abs(computed.astype(np.float16) - exact) > allowed)


def test_a_wider_accumulator_is_allowed_less_and_biases_have_none():
    x, y = operands(400)
    given = known(x), known(y), x.astype(float) @ y
    wider = WAYS["wider"]
    assert np.all(wider.product(*given) < STORED.product(*given) / 4)
    np.testing.assert_array_equal(wider.product(*given, stored=True), STORED.product(*given))


def test_both_ways_of_the_stored_format_are_the_same_up_to_their_own_rounding():
    x, y = operands()
    rng = np.random.default_rng(1)
    left, right = (known(z, rng.uniform(0, 1e-6, z.shape)) for z in (x, y))
    value, bias = x.astype(float) @ y, np.array([1.0, 2.0])
    one, other = (sums.product(STORED, left, right, value, bias) for sums in (SEPARATE, FACTORED))
    assert np.all(np.abs(one - other) <= 1e-13 * one)
    assert np.any(one != STORED.product(left, right, value))


@pytest.mark.parametrize("way", WAYS)
def test_sums_over_samples_are_two_products(way):
    rules, (x, y) = WAYS[way], operands()
    a, delta = known(x.T), known(y, np.full(y.shape, 1e-7))
    by_weight, by_bias = x.astype(float) @ y, y.astype(float).sum(0)
    weight, bias = rules.sums_over_samples(a, delta, by_weight, by_bias)
    ones = known(np.ones((1, len(y))))
    expected = (
        rules.product(known(x), delta, by_weight),
        rules.product(ones, delta, by_bias[None], stored=True),
    )
    for found, wanted in zip((weight, bias), expected, strict=True):
        assert np.all(np.abs(found - wanted) <= 1e-13 * wanted)
