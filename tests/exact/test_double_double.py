"""The double-double reference: it encloses what the balls enclose, and knows when it cannot."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crosscheck.arithmetic.activation_rules import SIGMOID
from crosscheck.arithmetic.error_free import exact
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import float64, reverse
from crosscheck.exact import double_double as dd, oracle, slices
from crosscheck.exact.enclosure import RADIUS_SHARE
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.verdicts.evidence import Evidence


def overlap(found, balls):
    """Whether two enclosures can be of the same number, entry by entry."""
    parts = zip(found.hi, found.lo, found.radius, balls.hi, balls.lo, balls.radius, strict=True)
    return all(np.all(np.abs((h - bh) + (l - bl)) <= r + br) for h, l, r, bh, bl, br in parts)


DISTRIBUTIONS = {
    "small": Distribution(widths=(1, 8), samples=(1, 8)),
    "wide": Distribution(layers=(3, 4), widths=(24, 48), samples=(16, 40)),
    "means": Distribution(widths=(1, 16), samples=(1, 16), cost="mean_squared_error"),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_it_overlaps_the_balls(name):
    ruled = 0
    for index in range(20 if name == "small" else 12):
        case = sampling.draw(DISTRIBUTIONS[name], 4, index, "float64")
        found = dd.enclose(case)
        if found is None:
            continue
        ruled += 1
        assert overlap(found, oracle.enclose(case, 256)), case.id
    assert ruled >= 10


def without_slices(monkeypatch):
    """Double-doubles rule where the cheaper reference cannot."""
    monkeypatch.setattr(slices, "evaluate", lambda case, wide=False: None)


def test_it_suffices_for_ordinary_networks(monkeypatch):
    without_slices(monkeypatch)
    for index in range(8, 30):
        case = sampling.draw(DISTRIBUTIONS["small"], 0, index, "float64")
        if case.scale <= 5:
            assert Evidence(case).enclosure.source == dd.SOURCE


def test_a_wrong_reference_would_be_seen(monkeypatch):
    """A slope that cancels, as a (1 - a) does in float64, leaves the balls' enclosure."""
    case = sampling.draw(DISTRIBUTIONS["small"], 4, 9, "float64")
    honest = dd.ACTIVATIONS["sigmoid"]

    def worse(z):
        a, slope = honest(z)
        return a, exact(slope.hi)

    monkeypatch.setattr(dd, "ACTIVATIONS", {**dd.ACTIVATIONS, "sigmoid": worse})
    found = dd.enclose(case)
    assert not overlap(found, oracle.enclose(case, 256))


def test_where_its_radius_is_too_large_balls_rule(monkeypatch):
    without_slices(monkeypatch)
    monkeypatch.setattr(dd, "RULES", dd.DoubleDoubleRules.of(2.0**-60))
    case = sampling.draw(DISTRIBUTIONS["small"], 0, 9, "float64")
    assert Evidence(case).enclosure.source.startswith("balls")


def test_other_activations_are_for_the_balls():
    case = sampling.draw(Distribution(widths=(1, 4), hidden="tanh"), 0, 9, "float64")
    assert dd.enclose(case) is None


def integers(pair, unit):
    """The pair's entries as exact whole multiples of a unit."""
    return [
        int(h / unit) + int(l / unit) for h, l in zip(pair.hi.ravel(), pair.lo.ravel(), strict=True)
    ]


@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([0, 3, 30]))
def test_a_sliced_product_is_within_its_error(seed, n, spread):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((3, n)) * 10.0 ** rng.integers(-spread, spread + 1, (3, n))
    b = rng.standard_normal((n, 2)) * 10.0 ** rng.integers(-spread, spread + 1, (n, 2))
    found = dd.sliced_product(exact(a), exact(b))
    allowed = dd.sliced_error(np.abs(a), np.abs(b)) + dd.UNIT * n * (np.abs(a) @ np.abs(b))
    for i in range(3):
        for j in range(2):
            true = sum(Fraction(a[i, k]) * Fraction(b[k, j]) for k in range(n))
            error = abs(true - Fraction(found.hi[i, j]) - Fraction(found.lo[i, j]))
            assert error <= Fraction(allowed[i, j])


def test_the_exponential_is_as_good_as_the_bound_takes_it_for():
    """xprec's exp and the sigmoid from it, against 200 bits, over the range of saturation."""
    from flint import arb, ctx

    rng = np.random.default_rng(0)
    z = np.concatenate([rng.uniform(-40, 40, 300), rng.uniform(-700, 700, 200), [0.0, -0.0]])
    a, slope = dd.sigmoid(exact(z))
    before, ctx.prec = ctx.prec, 300
    try:
        for i, x in enumerate(z):
            e = (-arb(float(x))).exp()
            for pair, true in ((a, 1 / (1 + e)), (slope, e / (1 + e) ** 2)):
                error = abs(arb(float(pair.hi[i])) + arb(float(pair.lo[i])) - true)
                allowed = SIGMOID.relative * dd.UNIT * abs(true) / 2 + dd.UNDERFLOW
                assert error < allowed
    finally:
        ctx.prec = before


def test_the_radius_is_far_below_the_bound():
    case = sampling.draw(DISTRIBUTIONS["wide"], 0, 9, "float64")
    trace = float64.evaluate(case)
    found = dd.enclose(case)
    allowed = reverse.contracted(case, trace, Arithmetic("float64")).tensors
    for radius, most in zip(found.radius, allowed, strict=True):
        assert np.all(radius <= RADIUS_SHARE * most)
