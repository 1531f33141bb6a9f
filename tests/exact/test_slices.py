"""The reference by slices: it encloses what balls enclose, by a share of B that is a theorem."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crosscheck.arithmetic import error_free, rounding_rules
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import float64, reverse
from crosscheck.exact import exponential, oracle, slices
from crosscheck.exact.enclosure import first_disagreement
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.verdicts.evidence import Evidence, prepare

PLAIN = rounding_rules.rules_of(Arithmetic("float64"))

DISTRIBUTIONS = {
    "any": Distribution(),
    "small": Distribution(widths=(1, 8), samples=(1, 8)),
    "wide": Distribution(layers=(3, 4), widths=(24, 96), samples=(16, 80)),
    "deep": Distribution(layers=(8, 12), widths=(2, 12), samples=(1, 20)),
    "sums": Distribution(widths=(1, 16), samples=(1, 16), cost="sum_squared_error"),
    "means": Distribution(widths=(1, 16), samples=(1, 16), cost="mean_squared_error"),
    "sigmoid": Distribution(widths=(1, 30), output="sigmoid"),
    "linear": Distribution(widths=(1, 30), hidden="identity"),
}


def judged(case, wide=False):
    """What is found of a case, with its B and least E."""
    found = slices.evaluate(case, wide)
    if found is None:
        return None
    least = {}
    limits = reverse.by_rules(case, found.trace, PLAIN, least)[0]
    return found, limits, least


def enclosed(case, wide=False):
    given = judged(case, wide)
    most = slices.WIDEST_SHARE if wide else slices.MOST_SHARE
    return given and slices.enclose(*given, most)


def farthest(found, balls):
    """The largest distance from the balls' midpoints, in radii of both."""
    parts = zip(found.hi, found.lo, found.radius, balls.hi, balls.lo, balls.radius, strict=True)
    return max(float((np.abs((h - g) + (l - k)) / (r + s)).max()) for h, l, r, g, k, s in parts)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_it_lies_within_its_radius_of_the_balls(name, wide):
    ruled = 0
    for index in range(30):
        case = sampling.draw(DISTRIBUTIONS[name], 4, index, "float64")
        found = enclosed(case, wide)
        if found is None:
            continue
        ruled += 1
        assert farthest(found, oracle.enclose(case, 256)) <= 0.1, case.id
    assert ruled >= 15


def test_its_radius_is_a_small_share_of_the_bound():
    for index in range(8, 60):
        case = sampling.draw(DISTRIBUTIONS["any"], 0, index, "float64")
        if case.scale > 5:
            continue
        evidence = Evidence(case)
        assert evidence.enclosure.source == slices.SOURCE
        limits = evidence.bound(Arithmetic("float64")).tensors
        for radius, allowed in zip(evidence.enclosure.radius, limits, strict=True):
            assert np.all(radius <= 2.0**-20 * allowed)


def test_cases_that_are_prepared_together_are_enclosed_as_each_alone():
    cases = [sampling.draw(DISTRIBUTIONS["any"], 0, i, "float64") for i in range(8, 40)]
    together = [Evidence(case) for case in cases]
    prepare(together)
    for case, one in zip(cases, together, strict=True):
        alone = Evidence(case).enclosure
        assert one.enclosure.source == alone.source
        for x, y in zip(
            (*alone.hi, *alone.lo), (*one.enclosure.hi, *one.enclosure.lo), strict=True
        ):
            np.testing.assert_array_equal(x, y)
        for x, y in zip(alone.radius, one.enclosure.radius, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9)


def wrong_sigmoid(*given):
    a, slope = right_sigmoid(*given)
    return a, error_free.exact(slope.hi)


def wrong_long_sigmoid(z):
    a, slope = right_long_sigmoid(z)
    return a, error_free.exact(slope.hi * (1 + 2.0**-50))


def wrong_product(a, b):
    """A product whose last piece is left out, as if two were enough."""
    return right_product(a, b._replace(rest=0 * b.rest))


right_sigmoid, right_long_sigmoid = slices.pair_sigmoid, slices.long_sigmoid
right_product = slices.product


@pytest.mark.parametrize(
    ("place", "wrong", "wide"),
    [
        ("pair_sigmoid", wrong_sigmoid, False),
        ("product", wrong_product, False),
        ("long_sigmoid", wrong_long_sigmoid, True),
        ("product", wrong_product, True),
    ],
)
def test_a_wrong_operation_leaves_the_radius(place, wrong, wide, monkeypatch):
    monkeypatch.setattr(slices, "has_long", lambda: True)
    case = sampling.draw(DISTRIBUTIONS["small"], 4, 9, "float64")
    balls = oracle.enclose(case, 256)
    assert farthest(enclosed(case, wide), balls) < 0.1
    monkeypatch.setattr(slices, place, wrong)
    assert farthest(enclosed(case, wide), balls) > 1


def test_without_a_long_double_the_same_exponential_serves_both(monkeypatch):
    monkeypatch.setattr(slices, "has_long", lambda: False)
    case = sampling.draw(DISTRIBUTIONS["wide"], 4, 9, "float64")
    assert farthest(enclosed(case, wide=True), oracle.enclose(case, 256)) < 0.1


@pytest.mark.skipif(not slices.has_long(), reason="long double has no 64 bits here")
@pytest.mark.parametrize("spread", [1e-3, 1.0, 10.0, exponential.MOST_OF_PAIR])
def test_sigmoids_in_long_double_are_as_accurate_as_their_error_says(spread):
    from flint import arb, ctx

    rng = np.random.default_rng(2)
    hi = rng.uniform(-spread, spread, 500)
    z = error_free.Pair(hi, np.spacing(hi) * rng.uniform(-0.5, 0.5, 500))
    precision = ctx.prec
    ctx.prec = 300
    try:
        for pair, power in zip(slices.long_sigmoid(z), (1, 2), strict=True):
            worst = 0.0
            for x, y, h, l in zip(*z, *pair, strict=True):
                of = arb(float(x)) + arb(float(y))
                exact = 1 / (1 + (-of).exp())
                exact *= 1 / (1 + of.exp()) if power == 2 else 1
                worst = max(worst, float(abs((arb(float(h)) + arb(float(l))) / exact - 1).mid()))
            assert worst <= slices.error_of_long(spread)
            assert worst >= slices.error_of_long(spread) / 64
    finally:
        ctx.prec = precision


@pytest.mark.parametrize("operation", ["z2", "gradient of a2", "gradient of w2", "sigmoid"])
def test_the_radius_covers_operations_as_wrong_as_they_may_be(operation, monkeypatch):
    """An operation that errs by all its κ of E, entry by entry, stays within the radius.

    The errors are put into the results as they come, and made large, so that they show: κ = 2^-24.
    """
    case = sampling.draw(DISTRIBUTIONS["wide"], 4, 9, "float64")
    balls, clean = oracle.enclose(case, 256), judged(case)
    found, limits, least = clean
    rng, kappa = np.random.default_rng(0), 2.0**-24
    if operation == "sigmoid":

        def spoiled(z, size):
            a, slope = right_sigmoid(z, size)
            relative = 5 * kappa * 2.0**-53 * rng.choice([-1.0, 1.0], size.shape)
            return (
                error_free.Pair(a.hi, a.lo + relative * a.hi),
                error_free.Pair(slope.hi, slope.lo + relative * slope.hi),
            )

        monkeypatch.setattr(slices, "pair_sigmoid", spoiled)
        monkeypatch.setattr(exponential, "error_of_pair", lambda most: 5 * kappa * 2.0**-53)
    else:
        calls = iter(range(100))
        layers = case.architecture.layers - 1
        # Products in their order: z2 … zN, then backward the gradient and ∂cost/∂a in turn.
        backward = [f"{kind}{l}" for l in range(layers + 1, 1, -1) for kind in "wa"]
        order = [*(f"z{l}" for l in range(2, layers + 2)), *backward]
        at = order.index({"gradient of a2": "a3", "gradient of w2": "w2"}.get(operation, operation))

        def spoiled(a, b):
            right = right_product(a, b)
            if next(calls) != at:
                return right
            error = kappa * least[operation] * rng.choice([-1.0, 1.0], right.hi.shape)
            return error_free.Pair(right.hi, right.lo + error)

        monkeypatch.setattr(slices, "product", spoiled)
        where = found.inner if operation in found.inner else found.last
        where[operation] = kappa * least[operation]
    again = slices.evaluate(case)
    enclosure = slices.enclose(again._replace(inner=found.inner, last=found.last), limits, least)
    assert 1e-6 < farthest(enclosure, balls) <= 1


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([0, 3, 30]), st.booleans())
def test_a_product_is_within_its_error(seed, n, spread, wide):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((3, n)) * 10.0 ** rng.integers(-spread, spread + 1, (3, n))
    b = rng.standard_normal((n, 2)) * 10.0 ** rng.integers(-spread, spread + 1, (n, 2))
    a_low, b_low = (np.spacing(x) * rng.uniform(-0.5, 0.5, x.shape) for x in (a, b))
    cutting = slices.Cutting.of(n, wide)
    left, right = cutting.cut(a, a_low), cutting.cut(b, b_low)
    found, allowed = slices.product(left, right), cutting.error_of(left, right)
    for i in range(3):
        for j in range(2):
            exact = sum(
                (Fraction(a[i, k]) + Fraction(a_low[i, k]))
                * (Fraction(b[k, j]) + Fraction(b_low[k, j]))
                for k in range(n)
            )
            error = abs(exact - Fraction(found.hi[i, j]) - Fraction(found.lo[i, j]))
            assert error <= Fraction(allowed)


def drawn(**changes):
    return replace(sampling.draw(DISTRIBUTIONS["small"], 0, 9, "float64"), **changes)


def test_what_it_cannot_tell_it_leaves_to_others():
    plain = drawn()
    assert enclosed(plain) is not None
    saturated = drawn(biases=tuple(b + 100 for b in plain.biases))
    assert slices.evaluate(saturated) is None
    tanh = sampling.draw(Distribution(widths=(1, 4), hidden="tanh"), 0, 9, "float64")
    assert slices.evaluate(tanh) is None
    assert slices.evaluate(sampling.draw(Distribution(), 0, 9, "float32")) is None
    no_inputs = drawn(inputs=np.zeros_like(plain.inputs))  # E of ∂cost/∂w^2 is underflow alone
    tiny = drawn(inputs=plain.inputs * 1e-290)
    huge = drawn(targets=plain.targets * 1e160)
    for case in (no_inputs, tiny, huge):
        assert enclosed(case) is None
        found = Evidence(case)
        assert found.enclosure.source != slices.SOURCE
        assert first_disagreement(found.enclosure, oracle.enclose(case, 512)) is None


def test_the_bound_is_the_same_by_its_trace_as_by_float64():
    """Its trace is rounded better; B has room for either."""
    for index in range(8, 20):
        case = sampling.draw(DISTRIBUTIONS["any"], 0, index, "float64")
        found = judged(case)
        if found is None:
            continue
        other = reverse.by_rules(case, float64.evaluate(case), PLAIN)[0]
        for x, y in zip(found[1].tensors, other.tensors, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6)


def test_an_evaluation_of_which_nothing_is_proved_leaves_no_trace(monkeypatch):
    monkeypatch.setattr(slices, "WIDEST_SHARE", 0.0)
    case = sampling.draw(DISTRIBUTIONS["any"], 0, 12, "float64")
    evidence = Evidence(case)
    assert evidence.wide_enclosure is None
    limits = evidence.bound(Arithmetic("float64"))
    expected = reverse.by_rules(case, float64.evaluate(case), PLAIN)[0]
    for one, other in zip(limits.tensors, expected.tensors, strict=True):
        np.testing.assert_array_equal(one, other)
